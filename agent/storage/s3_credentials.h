/*
  Where the keys of an S3 store come from: credentials-file; else access-key-id and
  secret-access-key of the configuration; else the environment (AWS_ACCESS_KEY_ID,
  AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN).

  The file is that of AWS's own tools, section [default]:
      [default]
      aws_access_key_id = ...
      aws_secret_access_key = ...
      aws_session_token = ...
  Other sections and keys are somebody else's and passed over.
*/
#ifndef GB_AGENT_STORAGE_S3_CREDENTIALS_H
#define GB_AGENT_STORAGE_S3_CREDENTIALS_H

#include "agent/storage/s3.h"
#include "agent/storage/sigv4.h"

/* Errors: GB_bad_config (a file that can't be read, that others may read, or that does not hold
   both keys), GB_store_denied (there are none anywhere). */
bool s3_credentials(const struct s3_options *options, struct sigv4_credentials *credentials,
                    struct gb_error *error);

#endif
