/*
  The index of a backup: its files, and where each piece of them stands.

  docs/format.md has the bytes. In memory it is plain arrays. Building is guarded by the caller's
  lock (the session's); a loaded index is read-only.
*/
#ifndef GB_AGENT_REPOSITORY_INDEX_H
#define GB_AGENT_REPOSITORY_INDEX_H

#include "agent/repository/segment.h"
#include "common/wire.h"

#define INDEX_MODE_MASK 0777u /* of a file's mode: what a restore sets */

/* Kinds that only a save has, beside WIRE_KIND_OTHER and WIRE_KIND_DIRECTORY. The wire does not
 * know them. */
#define INDEX_KIND_LINK                                                                            \
    9u /* a symbolic link: its bytes are the path it leads to, at most INDEX_LINK_MAX */
#define INDEX_KIND_OUTSIDE 10u /* a file outside the data directory, under its absolute path */
#define INDEX_LINK_MAX     (WIRE_PATH_MAX - 1)
/* Only in memory: the redo log that a restore makes of the redo, file number WIRE_FILE_REDO. */
#define INDEX_KIND_LOG 11u

struct index_file {
    uint32_t file_no;
    uint8_t kind; /* enum wire_file_kind, INDEX_KIND_LINK, INDEX_KIND_OUTSIDE */
    uint8_t unverifiable;
    bool done;    /* FILE_DONE has come */
    bool dropped; /* FILE_DROP has come: not written to the index */
    uint32_t space_id, page_size, mode;
    uint64_t size;
    uint64_t sent; /* bytes, as FILE_DONE said; not in the stored index */
    char *path;
};

struct index_extent {
    uint32_t file_no; /* WIRE_FILE_REDO: redo; offset is LSN - C */
    uint32_t length;
    uint64_t offset;
};

struct index_frame {
    struct frame frame;
    uint32_t first_extent, extents; /* into index.extents; in the order of the plain text */
};

struct index {
    struct index_file *files;
    size_t file_count;
    struct index_frame *frames;
    size_t frame_count;
    struct index_extent *extents;
    size_t extent_count;
    /* private: capacities and the map from file_no to place in files */
    size_t file_capacity, frame_capacity, extent_capacity;
    uint32_t *by_number;
    size_t by_number_size;
};

void index_init(struct index *index);
void index_free(struct index *index);

/* Errors of all of these: GB_protocol (a number that is used or unknown, a file done twice),
 * GB_internal. */
bool index_add_file(struct index *index, const struct wire_file *file, struct gb_error *error);
bool index_file_done(struct index *index, const struct wire_file_done *done,
                     struct gb_error *error);
bool index_file_drop(struct index *index, uint32_t file_no, struct gb_error *error);
bool index_file_name(struct index *index, uint32_t file_no, const char *path,
                     struct gb_error *error);
bool index_add_frame(struct index *index, const struct frame *frame,
                     const struct wire_extent *extents, uint32_t count, struct gb_error *error);
/* The file of kind INDEX_KIND_LOG; to an index that has been read, at most once. */
bool index_add_log(struct index *index, const char *path, uint64_t size, struct gb_error *error);
/* NULL if there is none. */
struct index_file *index_find(const struct index *index, uint32_t file_no);

/* Whether of each file that is not dropped all has come that FILE_DONE said. Errors: GB_protocol,
 * naming it. */
bool index_check_sent(const struct index *index, struct gb_error *error);

/* Whether path is relative or absolute, not empty, and without empty parts, "." and "..". */
bool index_path_clean(const char *path);

/* Whether the files have the kinds that a save has, or, of another backup, none that only a save
   has. Errors: GB_corrupt_backup, naming the file. */
bool index_check_kinds(const struct index *index, bool save, struct gb_error *error);

/* Before it is written: every file not dropped is done; no two carry the same path, no two
   tablespaces the same space id; paths are clean (relative without "..", or absolute, which only
   the system tablespace, tablespaces, undo and Aria's log and control file may have, and links and
   files of a save: they alone are kept outside the data directory); redo is without gap from 0 to
   redo_bytes; no extent reaches beyond its file's size. Extents of dropped files and redo beyond
   redo_bytes stay; readers pass them over. Errors: GB_internal, naming it. */
bool index_finish(struct index *index, uint64_t redo_bytes, struct gb_error *error);

/* The object "index" of the backup: written (info filled) and read. key: it is sealed with that;
   NULL: it is not. Reading checks everything that writing checks, and the object's SHA-256 against
   expected; of a mode the permissions (INDEX_MODE_MASK) are taken. Errors: GB_store_failed;
   GB_corrupt_backup. */
bool index_write(const struct index *index, struct storage *storage, const char *prefix,
                 const struct seal_key *key, struct object_info *info, struct gb_error *error);
bool index_read(struct index *index, struct storage *storage, const char *prefix,
                const struct seal_key *key, const struct object_info *expected,
                struct gb_error *error);
/* The same of the object's bytes, without the SHA-256; name: for messages. Errors:
   GB_corrupt_backup, GB_internal; x is then empty. */
bool index_parse(struct index *index, const uint8_t *stored, size_t size, const char *name,
                 const struct seal_key *key, struct gb_error *error);
/* The object's bytes as they are in another copy of the backup: opened with `from`, sealed with
   `to` (NULL: not sealed). Malloc'ed. Errors: GB_corrupt_backup, GB_internal. */
uint8_t *index_reseal(const uint8_t *stored, size_t size, const char *name,
                      const struct seal_key *from, const struct seal_key *to, size_t *out_size,
                      struct gb_error *error);
/* The whole object in memory, malloc'ed; its sum is not looked at. Errors: those of
 * storage_read_all(). */
uint8_t *index_read_stored(struct storage *storage, const char *prefix, size_t *size,
                           struct gb_error *error);

#endif
