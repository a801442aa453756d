/*
  Temporary keys of a role: of the instance that this runs on, from its metadata service (IMDSv2),
  or of a web identity, as Kubernetes gives one to a pod (IRSA): the token in a file, read anew each
  time, is exchanged at STS (AssumeRoleWithWebIdentity). They are renewed before they expire.

  Sources: "Use the Instance Metadata Service", "AssumeRoleWithWebIdentity", AWS.
  AWS_EC2_METADATA_SERVICE_ENDPOINT names another metadata service.
*/
#ifndef GB_AGENT_STORAGE_S3_ROLE_H
#define GB_AGENT_STORAGE_S3_ROLE_H

#include "agent/http/http.h"
#include "agent/storage/renewal.h"
#include "agent/storage/s3.h"
#include "agent/storage/sigv4.h"

struct s3_role {
    struct http *http;
    bool web_identity;
    char endpoint[300]; /* of the metadata service, or of STS */
    char role_arn[256], token_file[1024];
    unsigned attempts;
    struct renewal renewal; /* its mutex: credentials */
    struct sigv4_credentials credentials;
};

/* Whether the options, or the environment with them, want keys of a role. */
bool s3_role_wanted(const struct s3_options *options);

/* Asks nobody yet. region: of STS. Errors: GB_store_denied (no role, no token file), GB_bad_config,
 * GB_internal. */
bool s3_role_open(struct s3_role *role, const struct s3_options *options,
                  const struct bucket_options *common, const char *region, uint64_t *moved,
                  struct gb_error *error);
void s3_role_close(struct s3_role *role);

/* Keys newer than those of generation `stale` (0: any); *generation: theirs. Errors:
   GB_store_denied, GB_store_unreachable, GB_store_untrusted, GB_bad_config (the token file),
   GB_internal. */
bool s3_role_credentials(struct s3_role *role, unsigned stale,
                         struct sigv4_credentials *credentials, unsigned *generation,
                         struct gb_error *error);

/* "2026-11-21T03:00:00Z". 0: it is none. */
time_t s3_role_time(const char *text);

#endif
