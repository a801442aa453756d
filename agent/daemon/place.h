/*
  Where a directory repository lies: what BACKUP_CHECK warns of. A backup on the disk of the data
  directory is lost with it, and one on this host's disks with the host.
*/
#ifndef GB_AGENT_DAEMON_PLACE_H
#define GB_AGENT_DAEMON_PLACE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the path is on the file system of that device (st_dev, of any process of this kernel). 0
 * is none. */
bool place_on_device(const char *path, uint64_t device);
/* Whether its file system is one that a network brings (NFS, SMB, Ceph, GlusterFS and others by
   FUSE, Lustre, OCFS2, GFS2). A network volume with a local file system on it, as Kubernetes
   attaches them, can't be told from a disk. */
bool place_is_remote(const char *path);
/* The same of a type as statfs() gives it, f_type. */
bool place_type_is_remote(uint64_t type);

#endif
