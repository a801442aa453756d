/*
  AWS Signature Version 4: who signs a request shows that he has the secret, without sending it.

  Source: "Signature Version 4 signing process", AWS; tests/unit/test_sigv4.c has AWS's own
  examples. The path is encoded once, as S3 wants it (other services of AWS: twice).
*/
#ifndef GB_AGENT_STORAGE_SIGV4_H
#define GB_AGENT_STORAGE_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SIGV4_SHA256_MAX 65u  /* hex digits and NUL */
#define SIGV4_DATE_MAX   17u  /* "20130524T000000Z" and NUL */
#define SIGV4_TEXT_MAX   512u /* of an Authorization header as sigv4_sign() makes it */

struct sigv4_credentials {
    char access_key_id[129];
    char secret_access_key[257];
    char session_token[4097]; /* "": none; to be sent and signed as x-amz-security-token */
};

struct sigv4_header {
    const char *name, *value; /* name in lower case, value without space around it */
};

struct sigv4_request {
    const char *method;
    const char *path;                   /* encoded, from "/" on */
    const char *query;                  /* encoded, sorted by name, each "name=value"; "" */
    const struct sigv4_header *headers; /* that are signed, sorted by name; "host" is among them */
    size_t header_count;
    const char *payload_sha256; /* hex */
    const char *region, *service;
    const char *date; /* as in x-amz-date */
};

/* The value of the Authorization header. False: no memory, or no room. */
bool sigv4_sign(const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                char *out, size_t size);

/* UTC, "20130524T000000Z". */
void sigv4_date(time_t when, char out[SIGV4_DATE_MAX]);
/* False: no memory. */
bool sigv4_sha256(const void *data, size_t size, char out[SIGV4_SHA256_MAX]);
/* Appends text, percent-encoded as S3 wants it, at out + *used. slash: "/" stays. False: no room.
 */
bool sigv4_encode(const char *text, bool slash, char *out, size_t size, size_t *used);

#endif
