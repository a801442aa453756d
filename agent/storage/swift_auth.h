/*
  A token for Swift, and where its account is: TempAuth (v1) answers with both; Keystone (v3) with a
  token and a catalog, of which the endpoint of type object-store is taken, by interface and region.

  Sources: "Auth v1" of Swift's documentation (overview_auth); "Identity API v3", POST
  /v3/auth/tokens.
*/
#ifndef GB_AGENT_STORAGE_SWIFT_AUTH_H
#define GB_AGENT_STORAGE_SWIFT_AUTH_H

#include "agent/http/http.h"
#include "agent/storage/renewal.h"
#include "agent/storage/swift_identity.h"

#define SWIFT_TOKEN_MAX 8192u /* Keystone's own have 255 bytes at most; others' are longer */
#define SWIFT_URL_MAX   1024u

struct swift_auth {
    struct http *http; /* the client's */
    struct swift_identity identity;
    unsigned attempts;
    struct renewal renewal; /* its mutex: the two below */
    char token[SWIFT_TOKEN_MAX], url[SWIFT_URL_MAX];
};

struct swift_token { /* a copy */
    unsigned generation;
    char token[SWIFT_TOKEN_MAX],
        url[SWIFT_URL_MAX]; /* url: of the account, without "/" at its end */
};

void swift_auth_open(struct swift_auth *auth, struct http *http, unsigned attempts);
void swift_auth_close(struct swift_auth *auth);

/* One that is newer than the generation `stale` (0: any). Errors: GB_store_denied,
   GB_store_unreachable, GB_store_untrusted, GB_bad_config (auth-url; the catalog has no such
   endpoint), GB_internal. */
bool swift_auth_token(struct swift_auth *auth, unsigned stale, struct swift_token *token,
                      struct gb_error *error);

/* What is sent to Keystone; malloc'ed, to be wiped. NULL: no memory. */
char *swift_auth_request(const struct swift_identity *identity);
/* The endpoint of a catalog (the answer's body). Errors: GB_bad_config, naming what there is;
   GB_store_failed: it is none. */
bool swift_auth_endpoint(const char *body, size_t size, const struct swift_identity *identity,
                         char out[SWIFT_URL_MAX], struct gb_error *error);

#endif
