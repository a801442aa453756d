/* A file that holds a secret; see secret_file.h. */
#include "agent/storage/secret_file.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

FILE *secret_file_open(const char *key, const char *path, struct gb_error *error)
{
    struct stat st;
    prctl(PR_SET_DUMPABLE, 0); /* what is in memory from here on stands in no core file */
    FILE *in = fopen(path, "re");
    if (!in) {
        error_set_errno(error, GB_bad_config, errno, "%s = %s can't be read", key, path);
        return NULL;
    }
    if (!fstat(fileno(in), &st) && !(st.st_mode & (S_IRWXO | S_IWGRP)))
        return in;
    error_set(error, GB_bad_config, "%s = %s may be read by everyone, or written by its group", key,
              path);
    error_hint(error, "chmod 0600 %s", path);
    fclose(in);
    return NULL;
}

bool secret_file_line(const char *key, const char *path, char *out, size_t size,
                      struct gb_error *error)
{
    FILE *in = secret_file_open(key, path, error);
    if (!in)
        return false;
    char *line = fgets(out, (int)size, in);
    size_t n = line ? strcspn(line, "\r\n") : 0;
    bool whole = line && (line[n] || feof(in));
    fclose(in);
    if (!n || !whole)
        return error_set(error, GB_bad_config, "%s = %s: its first line is %s", key, path,
                         n ? "too long" : "empty");
    out[n] = '\0';
    return true;
}
