/*
  Who asks Swift: what the configuration says and, where it says nothing, the environment as
  OpenStack's own tools read it (OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME,
  OS_USER_DOMAIN_NAME, OS_PROJECT_DOMAIN_NAME, OS_REGION_NAME, OS_INTERFACE,
  OS_APPLICATION_CREDENTIAL_ID, OS_APPLICATION_CREDENTIAL_SECRET; for v1 also ST_AUTH, ST_USER,
  ST_KEY).
*/
#ifndef GB_AGENT_STORAGE_SWIFT_IDENTITY_H
#define GB_AGENT_STORAGE_SWIFT_IDENTITY_H

#include "agent/storage/swift.h"

struct swift_identity {
    char auth_url[256]; /* v3: that of /auth/tokens, with /v3 */
    bool v3;
    char user[256];
    char secret[1024]; /* password, key of v1, or secret of the application credential */
    char project[256], user_domain[256], project_domain[256];
    char application_credential[256]; /* "": a password */
    char region[64], interface[16];
};

/* Errors: GB_bad_config (the key file; what does not go together), GB_store_denied (no auth-url,
   user, project or key anywhere). */
bool swift_identity(const struct swift_options *options, const struct bucket_options *common,
                    struct swift_identity *identity, struct gb_error *error);

#endif
