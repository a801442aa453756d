/*
  The keys of a repository and its backups: who opens, who is encrypted for, who signs
  (repository_unlock() and what stands beside it in repository.h), and keys.json of an encrypted
  backup: its data key, wrapped for each recipient (agent/crypto/envelope.h). It is the one object
  of a backup that changes after backup.json: recipients come and go.
*/
#ifndef GB_AGENT_REPOSITORY_KEYS_H
#define GB_AGENT_REPOSITORY_KEYS_H

#include "agent/crypto/envelope.h"
#include "agent/repository/repository.h"

/* prefix: of the backup, identity: its nonce. Errors: GB_corrupt_backup (it is not there, has been
 * changed, or is another backup's), those of the storage. */
bool backup_keys_read(struct storage *storage, const char *prefix,
                      const uint8_t identity[SEAL_IDENTITY_SIZE], struct envelope *envelope,
                      struct gb_error *error);
/* With the backup, as an object like its others: its data key, wrapped for each recipient; their
   ids to ids. Errors: GB_bad_key (too many recipients), GB_store_failed, GB_no_space, GB_internal.
 */
bool backup_keys_make(struct storage *storage, const char *prefix, const struct seal_key *key,
                      const struct crypto_keys *recipients, char *ids, size_t ids_size,
                      struct gb_error *error);
/* Over what is there. Errors: GB_store_failed, GB_no_space, GB_internal. */
bool backup_keys_replace(struct storage *storage, const char *prefix,
                         const uint8_t identity[SEAL_IDENTITY_SIZE],
                         const struct envelope *envelope, struct gb_error *error);

/* Whom a backup is encrypted for, and who signs it: both empty at first, and to be freed in any
 * case. Errors: GB_bad_key. */
bool writer_keys_load(const struct repository_keys *settings, struct crypto_keys *recipients,
                      struct crypto_keys *signer, struct gb_error *error);

#endif
