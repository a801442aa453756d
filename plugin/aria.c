/* Aria's files; see aria.h. */
#include "plugin/server.h"
#include "plugin/aria.h"
#include "plugin/disk.h"
#include "plugin/kept.h"
#include "common/bytes.h"
#include "common/page.h"
#include "common/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* .MAI: state header, then base information at base_pos */
#define MAI_MAGIC             "\xfe\xfe\x09"
#define MAI_OPTIONS_AT        4u
#define MAI_BASE_POS_AT       12u
#define MAI_CREATED_AT        28u /* create_rename_lsn, is_of_horizon, skip_redo_lsn */
#define MAI_SKIP_REDO_AT      42u
#define OPTION_PAGE_CHECKSUM  2048u
#define BASE_KEYSTART_AT      16u
#define BASE_EXTRA_OPTIONS_AT 90u
#define BASE_BLOCK_SIZE_AT    100u
#define BASE_TRANSACTIONAL_AT 106u
#define EXTRA_ENCRYPTED       1u

/* pages */
#define CRC_SIZE      4u
#define CRC_NONE      0xfffffffeu /* this and above: the page has none */
#define INDEX_USED_AT 15u /* of transactional tables: LSN 7, transaction id 6, key number, flag */

/* control file */
#define CONTROL_MAGIC          "\xfe\xfe\x0c"
#define CONTROL_VERSION_AT     3u
#define CONTROL_VERSION        1u
#define CONTROL_SIZES_AT       20u
#define CHANGEABLE_LSN_AT      4u
#define CHANGEABLE_LOGNO_AT    11u
#define CHANGEABLE_FAILURES_AT 21u
#define LSN_SIZE               7u
#define CONTROL_TRIES          10

static uint32_t le16(const uint8_t *p)
{
  return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
  return le16(p) | le16(p + 2) << 16;
}

/* Big file number, then offset, as lsn_korr() reads it. */
static uint64_t lsn_at(const uint8_t *p)
{
  return ((uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16) << 32 | le32(p + 3);
}

static uint32_t checksum(uint32_t seed, const uint8_t *data, size_t size)
{
  return (uint32_t)my_checksum(seed, data, size);
}

bool aria_parse_header(const uint8_t *data, size_t size, struct aria_table *table)
{
  memset(table, 0, sizeof *table);
  struct bytes_reader r = bytes_reader(data, size);
  const uint8_t *magic = bytes_take(&r, sizeof MAI_MAGIC - 1);
  if (!magic || memcmp(magic, MAI_MAGIC, sizeof MAI_MAGIC - 1))
    return false;
  bytes_seek(&r, MAI_OPTIONS_AT);
  uint32_t options = bytes_get_u16(&r);
  bytes_seek(&r, MAI_BASE_POS_AT);
  size_t base = bytes_get_u16(&r);
  bytes_seek(&r, base + BASE_KEYSTART_AT);
  uint64_t keystart = bytes_get_u64(&r);
  bytes_seek(&r, base + BASE_EXTRA_OPTIONS_AT);
  uint32_t extra = bytes_get_u16(&r);
  bytes_seek(&r, base + BASE_BLOCK_SIZE_AT);
  table->block_size = bytes_get_u16(&r);
  bytes_seek(&r, base + BASE_TRANSACTIONAL_AT);
  bool transactional = bytes_get_u8(&r) != 0;
  if (r.failed || keystart > (1u << 30))
    return false;
  table->header_size = (uint32_t)keystart;
  table->created = lsn_at(data + MAI_CREATED_AT);
  table->skip_redo = lsn_at(data + MAI_SKIP_REDO_AT);
  table->encrypted = extra & EXTRA_ENCRYPTED;
  table->online = transactional && (options & OPTION_PAGE_CHECKSUM) && table->block_size >= 1024 &&
                  !(table->block_size & (table->block_size - 1));
  return true;
}

void aria_index_path(const char *datadir, const char *path, char *out)
{
  snprintf(out, WIRE_PATH_MAX, "%s%s", datadir, path);
  memcpy(out + strlen(out) - 3, "MAI", 3);
}

bool aria_read_table(const char *index, struct aria_table *table)
{
  uint8_t head[DISK_HEAD_SIZE];
  ssize_t n = disk_head(index, head, NULL);
  return n > 0 && aria_parse_header(head, (size_t)n, table);
}

bool aria_page_whole(const struct aria_table *table, bool index, uint64_t block,
                     const uint8_t *page)
{
  uint32_t size = table->block_size;
  if (index && block < table->header_size / size)
    return true;
  if (page_is_zero(page, size - 64) && page_is_zero(page + size - 64, 64))
    return true;
  uint32_t covered = size - CRC_SIZE;
  if (index)
  {
    covered = (uint32_t)page[INDEX_USED_AT] << 8 | page[INDEX_USED_AT + 1];
    if (covered > size - CRC_SIZE)
      return false;
  }
  uint32_t stored = le32(page + size - CRC_SIZE);
  if (stored >= CRC_NONE)
    return true;
  uint32_t computed = checksum((uint32_t)block, page, covered);
  return stored == (computed >= CRC_NONE ? CRC_NONE - 1 : computed);
}

static const char *control_problem(const struct aria_control *c)
{
  if (c->size < CONTROL_SIZES_AT + 6 || memcmp(c->bytes, CONTROL_MAGIC, 3))
    return "it is not an Aria control file";
  if (c->bytes[CONTROL_VERSION_AT] > CONTROL_VERSION)
    return "it is of a later version of Aria";
  uint32_t fixed = le16(c->bytes + CONTROL_SIZES_AT),
           changeable = le16(c->bytes + CONTROL_SIZES_AT + 2);
  if (fixed < CONTROL_SIZES_AT + 4 || changeable < CHANGEABLE_LOGNO_AT + 4 ||
      fixed + changeable > c->size)
    return "its sizes are inconsistent";
  if (checksum(0, c->bytes + fixed + 4, changeable - 4) != le32(c->bytes + fixed))
    return "its checksum is wrong";
  return NULL;
}

bool aria_read_control(const char *directory, struct aria_control *control, struct gb_error *error)
{
  char path[1024];
  snprintf(path, sizeof path, "%s/aria_log_control", directory);
  const char *problem = "";
  for (int i = 0; i < CONTROL_TRIES && problem; i++)
  {
    int fd = kept_open(path, false);
    if (fd < 0)
      return error_set_errno(error, GB_file_vanished, errno, "%s can't be opened", path);
    ssize_t n = pread(fd, control->bytes, sizeof control->bytes, 0);
    if (n < 0)
      return error_set_errno(error, GB_io_error, errno, "%s can't be read", path);
    control->size = (uint32_t)n;
    if ((problem = control_problem(control)))
      usleep(1000); /* read in the middle of a write */
  }
  if (problem)
    return error_set(error, GB_unsupported_config, "%s: %s", path, problem);
  control->last_log =
      le32(control->bytes + le16(control->bytes + CONTROL_SIZES_AT) + CHANGEABLE_LOGNO_AT);
  return true;
}

void aria_merge_control(const struct aria_control *first, const struct aria_control *last,
                        struct aria_control *out)
{
  *out = *last;
  uint32_t fixed = le16(out->bytes + CONTROL_SIZES_AT),
           changeable = le16(out->bytes + CONTROL_SIZES_AT + 2);
  uint32_t first_fixed = le16(first->bytes + CONTROL_SIZES_AT);
  memcpy(out->bytes + fixed + CHANGEABLE_LSN_AT, first->bytes + first_fixed + CHANGEABLE_LSN_AT,
         LSN_SIZE);
  if (changeable > CHANGEABLE_FAILURES_AT)
    out->bytes[fixed + CHANGEABLE_FAILURES_AT] = 0;
  uint32_t crc = checksum(0, out->bytes + fixed + 4, changeable - 4);
  for (unsigned i = 0; i < 4; i++)
    out->bytes[fixed + i] = (uint8_t)(crc >> (8 * i));
}
