/*
  Descriptors of files that the server holds a POSIX lock on (fcntl F_SETLK): the system tablespace
  and aria_log_control. The kernel drops such a lock when any descriptor of the file is closed in
  the process, whoever opened it; a second server could then start on the same directory. So these
  files are opened once and never closed, not at UNINSTALL either.

  Source: fcntl(2), "Advisory record locking"; os_file_lock() in storage/innobase/os/os0file.cc,
  my_lock() in storage/maria/ma_control_file.c.
*/
#ifndef GB_PLUGIN_KEPT_H
#define GB_PLUGIN_KEPT_H

#include <stdbool.h>

/* A descriptor for pread() of that file, as open(O_RDONLY) gives it; the caller must not close it.
   direct: O_DIRECT where the file system can. -1: errno says why. Any thread. */
int kept_open(const char *path, bool direct);

#endif
