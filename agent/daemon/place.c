/* Where a repository lies; see place.h. */
#include "agent/daemon/place.h"

#include <stddef.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* statfs(2); what <linux/magic.h> has of it, and what only its own sources have */
static const uint64_t remote[] = {
    0x6969,     /* NFS */
    0x517B,     /* SMB */
    0xFF534D42, /* CIFS */
    0xFE534D42, /* SMB2 */
    0x00C36400, /* Ceph */
    0x65735546, /* FUSE: GlusterFS, s3fs, sshfs */
    0x0BD00BD0, /* Lustre */
    0x7461636F, /* OCFS2 */
    0x01161970, /* GFS2 */
    0x01021997, /* 9p: the host of a virtual machine */
};

bool place_on_device(const char *path, uint64_t device)
{
    struct stat st;
    return device && !stat(path, &st) && (uint64_t)st.st_dev == device;
}

bool place_type_is_remote(uint64_t type)
{
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
        if (type == remote[i])
            return true;
    return false;
}

bool place_is_remote(const char *path)
{
    struct statfs fs;
    return !statfs(path, &fs) && place_type_is_remote((uint32_t)fs.f_type);
}
