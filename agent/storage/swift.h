/*
  Objects in a container of OpenStack Swift, by its own API, behind storage.h. What is the same for
  all object stores: bucket.h, bucket_store.h.

  Who asks has a token, of TempAuth (v1) or of Keystone (v3), which is asked for when it is needed
  first and again when the store takes it no more.

  A large object is a static large object: its parts ("segments" in Swift's words) are objects in
  the same container, below .NAME/ beside the object's own NAME, and its manifest names them with
  MD5 and size, which the store checks when it is put. So what is below a backup's prefix is all of
  that backup, and who removes the prefix leaves nothing. A manifest names as many as the store
  allows (/info; 1,000 unless it says); beyond that it names manifests.
*/
#ifndef GB_AGENT_STORAGE_SWIFT_H
#define GB_AGENT_STORAGE_SWIFT_H

#include "agent/storage/bucket.h"

#define SWIFT_PARTS_MAX                                                                            \
    1000000u /* a manifest of manifests, 1,000 each: 7.6 TiB in parts of 8 MiB */
#define SWIFT_DELETE_MARGIN_S                                                                      \
    (7u * 86400) /* how much longer than backup.json the rest of a backup stays with delete-after  \
                  */

struct swift_options { /* "" : of the environment, see swift_identity.h */
    char auth_url[256];
    char user[256]; /* v1: ACCOUNT:USER */
    char key_file[1024];
    char project[256], domain[256], project_domain[256];
    char application_credential[256]; /* its id */
    char interface[16];               /* public, internal, admin */
    char container[257];
    unsigned delete_after_s; /* 0: never */
};

/* Whether the options make sense, without asking the store. section: for messages. Errors:
 * GB_bad_config. */
bool swift_check_options(const struct swift_options *options, const struct bucket_options *common,
                         const char *section, struct gb_error *error);

/* Asks nobody yet. Errors: GB_bad_config (the key file, the CA file), GB_store_denied (no user or
 * no key), GB_internal. */
struct storage *storage_open_swift(const struct swift_options *options,
                                   const struct bucket_options *common, struct gb_error *error);

#endif
