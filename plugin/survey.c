/* How much there is; see survey.h. */
#include "plugin/survey.h"
#include "plugin/ddl_log.h"
#include "plugin/disk.h"
#include "common/space.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

#define LOOKS_MAX  100u
#define UNUSED_MIN (1u << 20) /* smaller files are counted as they are */
#define UNUSED_MAX                                                                                 \
  (8u << 20) /* an extension is of four extents, undo tablespaces begin with ten MiB */

/* Of a tablespace: what is behind its free limit is not copied. The first page on disk may be an
   older one, so no more is left out than what the server makes a file larger by at once; and no
   more than LOOKS_MAX files are looked at: a backup does not begin with a read for each table. */
static uint64_t used_bytes(const char *full, uint64_t size, unsigned *looks)
{
  uint8_t head[DISK_HEAD_SIZE];
  struct space_info info;
  struct gb_error ignored = {0};
  bool zero;
  if (size < UNUSED_MIN || (*looks)++ >= LOOKS_MAX ||
      disk_head(full, head, NULL) < (ssize_t)sizeof head ||
      !space_parse(head, sizeof head, &info, &zero, &ignored))
    return size;
  uint64_t used = (uint64_t)info.free_limit * info.format.page_size;
  if (used + UNUSED_MAX < size)
    used = size - UNUSED_MAX;
  return used < size ? used : size;
}

static void note_name(struct survey *survey, const char *database, const char *file)
{
  size_t table = ddl_table_length(file), n = strlen(database) + table;
  if (file[0] == '#' || disk_skips(database) || !disk_ends_with(file, ".frm") ||
      n <= survey->longest)
    return;
  survey->longest = n;
  snprintf(survey->longest_name, sizeof survey->longest_name, "%s/%.*s", database, (int)table,
           file);
}

void survey_take(const char *datadir, struct survey *survey)
{
  unsigned looks = 0;
  *survey = (struct survey){0};
  DIR *root = opendir(datadir);
  for (struct dirent *e; root && (e = readdir(root));)
  {
    char full[WIRE_PATH_MAX];
    struct stat st;
    if (e->d_name[0] == '.')
      continue;
    snprintf(full, sizeof full, "%s%s", datadir, e->d_name);
    if (stat(full, &st))
      continue;
    if (S_ISREG(st.st_mode) && !strncmp(e->d_name, "ibdata", 6))
      survey->bytes += (uint64_t)st.st_size;
    if (S_ISREG(st.st_mode) && !strncmp(e->d_name, "undo", 4))
      survey->bytes += used_bytes(full, (uint64_t)st.st_size, &looks);
    DIR *database = S_ISDIR(st.st_mode) ? opendir(full) : NULL;
    for (struct dirent *file; database && (file = readdir(database));)
    {
      char name[WIRE_PATH_MAX];
      snprintf(name, sizeof name, "%s/%s", full, file->d_name);
      note_name(survey, e->d_name, file->d_name);
      if (file->d_name[0] != '.' && !stat(name, &st) && S_ISREG(st.st_mode))
        survey->bytes += disk_ends_with(name, ".ibd")
                             ? used_bytes(name, (uint64_t)st.st_size, &looks)
                             : (uint64_t)st.st_size;
    }
    if (database)
      closedir(database);
  }
  if (root)
    closedir(root);
}
