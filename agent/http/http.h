/*
  One HTTP request and its answer, over libcurl: what S3 and Swift stand on.

  A request is repeated, with growing pauses, where another try can help: no connection, a
  connection that broke, a server that does not answer, an answer that the caller judges to be of
  that kind (429, 5xx). After any fault of the connection the next try opens a new one. Each try has
  its headers made anew, because signatures carry the time. Nothing waits without a limit: a
  connection that is not there, and a request of which no byte moves, are given up after the time
  limit.

  Depends on libcurl of 7.76 (RHEL 9) or newer. Redirects are answers, never followed: a signature
  holds for one host.

  Safe to use from several threads. Each request under way has a connection of its own; idle ones
  are kept for the next.
*/
#ifndef GB_AGENT_HTTP_HTTP_H
#define GB_AGENT_HTTP_HTTP_H

#include "common/error.h"

#include <stdint.h>

#define HTTP_ATTEMPTS     8u /* tries of a request that says nothing else */
#define HTTP_SILENT_TRIES 3u /* of them at most without any answer */
#define HTTP_TEXT_MAX     (16u << 20)
#define HTTP_HEADERS_MAX  (64u << 10)

struct http;

struct http_options { /* strings: NULL or "": none */
    const char
        *ca_file; /* PEM, that the server's certificate is checked against; none: the system's */
    const char *client_certificate; /* PEM, shown to a server that asks for one */
    const char *client_key;         /* PEM; none: it stands in client_certificate */
    unsigned limit_s;    /* how long a connection may take, and a request without a byte moved */
    uint64_t rate_limit; /* bytes a second of all requests, sent and received each; 0: none */
};

/* moved: counted up, atomically, whenever bytes move. Errors: GB_internal; GB_bad_config if a file
 * can't be read. */
struct http *http_open(const struct http_options *options, uint64_t *moved, struct gb_error *error);
/* No request may be under way. NULL is allowed. */
void http_close(struct http *http);

struct http_headers;
/* "Name", "value" of a header of the request. */
void http_add_header(struct http_headers *headers, const char *name, const char *value);

struct http_response {
    int status;        /* 0: there was no answer */
    unsigned attempts; /* tries that were made */
    size_t size;       /* of the body, wherever it went */
    char *text; /* the body, malloc'ed, NUL-terminated; NULL: none, or it went to request->into */
    char *headers; /* of the answer, as they came; NULL: none */
};
void http_response_free(struct http_response *response);
/* The value of a header of the answer; "" if it is not there. Returns out. */
const char *http_header(const struct http_response *response, const char *name, char *out,
                        size_t size);

enum http_verdict {
    HTTP_TAKE,       /* the answer counts, whatever it says */
    HTTP_AGAIN,      /* another try may help, later */
    HTTP_AGAIN_ONCE, /* ... at once, and in any case: what was wrong has been set right. Said once
                        in a request */
};

struct http_request {
    const char *method; /* GET, HEAD, PUT, POST, DELETE */
    const char *url;
    const char *name; /* of what is done, for messages: "PUT s3://bucket/key at https://host" */
    const void *body; /* of PUT and POST */
    size_t body_size;
    void *into; /* where the body of an answer 2xx goes; NULL: response->text */
    size_t into_size;
    unsigned attempts; /* tries at most; 0: HTTP_ATTEMPTS */
    /* Before each try. False: no memory. */
    bool (*sign)(void *context, struct http_headers *headers);
    enum http_verdict (*judge)(void *context, const struct http_response *response);
    void *context;
};

/* What any server means: 408, 429, 500, 502, 503 and 504 are worth another try. */
enum http_verdict http_judge_status(const struct http_response *response);

/* True: there is an answer, of whatever status. response: to be freed in any case. Errors:
   GB_store_unreachable, GB_store_untrusted, GB_internal; GB_store_failed (an answer longer than it
   may be). */
bool http_perform(struct http *http, const struct http_request *request,
                  struct http_response *response, struct gb_error *error);

#endif
