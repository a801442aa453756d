/*
  Where the parts of a restored data directory stand: what mariadbd has to be told to start in it
  without a configuration file, and which file holds a page of the system and undo tablespaces.
*/
#ifndef GB_AGENT_RESTORE_LAYOUT_H
#define GB_AGENT_RESTORE_LAYOUT_H

#include "agent/restore/restore.h"

struct layout_file {
    char *path;        /* absolute */
    uint32_t space_id; /* 0: a file of the system tablespace, in their order */
    uint64_t size;     /* bytes, as restored */
};

struct layout {
    char datadir[WIRE_PATH_MAX]; /* absolute */
    char data_file_path[4096];   /* innodb_data_file_path; its names are seen from datadir */
    char undo_dir[WIRE_PATH_MAX], aria_dir[WIRE_PATH_MAX]; /* seen from datadir; "": that one */
    uint32_t page_size;
    unsigned undo_tablespaces;
    unsigned outside;          /* tablespaces of tables that lie outside the data directory */
    struct layout_file *files; /* system and undo tablespaces; owned */
    size_t file_count;
};

/* From the index of a backup and where its files went. Errors: GB_corrupt_backup (no system
 * tablespace), GB_internal. */
bool layout_make(struct layout *layout, const struct manifest *manifest, const struct index *index,
                 const struct restore_request *request, struct gb_error *error);
void layout_free(struct layout *layout);

/* The file that holds page_no of a system or undo tablespace, and its offset there. NULL: none
 * does. */
const char *layout_find(const struct layout *layout, uint32_t space_id, uint32_t page_no,
                        uint64_t *offset);

#endif
