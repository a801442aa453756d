/*
  The answers of an S3 store, which are XML, as pairs of path and text: expat reads them, namespaces
  and attributes are left out.

  A document type is refused, so that nothing is ever expanded or fetched.
*/
#ifndef GB_AGENT_STORAGE_S3_XML_H
#define GB_AGENT_STORAGE_S3_XML_H

#include <stdbool.h>
#include <stddef.h>

#define S3_XML_DEPTH_MAX 8u
#define S3_XML_TEXT_MAX  4096u /* of one element; a key has 1,024 bytes at most */

/* Calls visit at the end of each element: path "ListBucketResult/Contents/Key", text what stood in
   it directly, without space around it. Stops when visit answers false. False: it is no such
   document (malformed, too deep, an element too long or without a name), or visit stopped it. */
bool s3_xml_read(const char *text, size_t size,
                 bool (*visit)(void *context, const char *path, const char *text), void *context);

/* Code and Message of an <Error>; empty where there is none. NULL text is allowed. */
void s3_xml_error(const char *text, size_t size, char *code, size_t code_size, char *message,
                  size_t message_size);

#endif
