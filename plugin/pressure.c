/* What a commit costs on this server; see pressure.h. */
#include "plugin/pressure.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBSERVED_MIN  20u      /* statements seen running: fewer are noise */
#define WINDOW_MAX_US 4000000u /* for so many */
#define COMMITS_MIN   10u      /* in a window: with fewer nobody waits in a queue */
#define OWN_PREFIX    "gb-"    /* of our threads' names (common/priority.h) */

void pressure_sample(struct pressure *p, struct sql *sql, uint64_t now)
{
  struct gb_error ignored = {0};
  if (now - p->sampled_us < PRESSURE_SAMPLE_US)
    return;
  uint64_t running = sql_status_number(sql, "Threads_running", &ignored),
           since = now - p->sampled_us;
  p->sampled_us = now;
  if (ignored.code || !running || since > WINDOW_MAX_US)
    return;
  running--; /* this statement of ours */
  p->running_us += (double)running * (double)since;
  p->observed += running;
}

static bool read_line(int directory, const char *thread, const char *name, char *out, size_t size)
{
  char path[64];
  snprintf(path, sizeof path, "%.20s/%s", thread, name);
  int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;
  if (fd >= 0)
    close(fd);
  out[n > 0 ? n : 0] = '\0';
  return n > 0;
}

static int by_id(const void *a, const void *b)
{
  uint32_t x = ((const struct pressure_thread *)a)->id, y = ((const struct pressure_thread *)b)->id;
  return (x > y) - (x < y);
}

/* Milliseconds that the server's threads were on a CPU or waited for one since the last call.
   Threads come and go: what each has more than before counts. Brings on_cpu_ns up to date. */
static double cpu_ms(struct pressure *p)
{
  struct pressure_thread *now = malloc(sizeof p->threads);
  DIR *d = now ? opendir("/proc/self/task") : NULL;
  unsigned count = 0;
  uint64_t ns = 0;
  for (struct dirent *e; d && count < PRESSURE_THREADS_MAX && (e = readdir(d));)
  {
    char name[32], line[96];
    unsigned long long on_cpu, waited;
    if (e->d_name[0] == '.' || !read_line(dirfd(d), e->d_name, "comm", name, sizeof name) ||
        !strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) ||
        !read_line(dirfd(d), e->d_name, "schedstat", line, sizeof line) ||
        sscanf(line, "%llu %llu", &on_cpu, &waited) != 2)
      continue;
    struct pressure_thread *t = &now[count++];
    *t = (struct pressure_thread){(uint32_t)strtoul(e->d_name, NULL, 10), on_cpu + waited, on_cpu};
    const struct pressure_thread *before =
                                     bsearch(t, p->threads, p->thread_count, sizeof *t, by_id),
                                 none = {0};
    if (!p->thread_count ||
        (!before &&
         p->thread_count == PRESSURE_THREADS_MAX)) /* not new, but seen for the first time */
      continue;
    if (!before || before->ns > t->ns)
      before = &none;
    ns += t->ns - before->ns;
    p->on_cpu_ns += t->on_cpu_ns - before->on_cpu_ns;
  }
  if (d)
    closedir(d);
  if (now)
  {
    qsort(now, count, sizeof *now, by_id);
    memcpy(p->threads, now, count * sizeof *now);
    p->thread_count = count;
  }
  free(now);
  return (double)ns / 1e6;
}

static void begin_running(struct pressure *p, uint64_t commits, uint64_t now)
{
  p->commits = commits;
  p->began_us = now;
  p->running_us = 0;
  p->observed = 0;
}

void pressure_costs(struct pressure *p, struct sql *sql, uint64_t now, double cost[PACE_COSTS])
{
  struct gb_error ignored = {0};
  uint64_t commits = sql_status_number(sql, "Handler_commit", &ignored);
  double ms = cpu_ms(p);
  cost[PACE_CPU] = cost[PACE_STATEMENTS] = -1;
  if (p->cpu_commits && commits >= p->cpu_commits + COMMITS_MIN && ms > 0)
    cost[PACE_CPU] = ms / (double)(commits - p->cpu_commits);
  p->cpu_commits = commits;
  if (p->commits && p->observed >= OBSERVED_MIN && commits >= p->commits + COMMITS_MIN)
    cost[PACE_STATEMENTS] = p->running_us / 1000 / (double)(commits - p->commits);
  if (!p->commits || p->observed >= OBSERVED_MIN || now - p->began_us >= WINDOW_MAX_US)
    begin_running(p, commits, now);
}
