/* Who has the processors; see shares.h. */
#include "plugin/shares.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

static uint64_t clock_ns(clockid_t clock)
{
  struct timespec t;
  return clock_gettime(clock, &t) ? 0 : (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void machine(struct shares_clocks *c)
{
  unsigned long long user, nice, system, idle, iowait, irq, softirq;
  FILE *f = fopen("/proc/stat", "re");
  bool ok = f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
                        &iowait, &irq, &softirq) == 7;
  if (f)
    fclose(f);
  if (!ok)
    return;
  uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
  c->idle_ns = (idle + iowait) * tick_ns;
  c->machine_ns = c->idle_ns + (user + nice + system + irq + softirq) * tick_ns;
}

struct shares_clocks shares_look(uint64_t server_ns, pid_t agent, uint64_t now_us)
{
  struct shares_clocks c = {
      .us = now_us, .server_ns = server_ns, .process_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
  clockid_t clock;
  if (agent > 0 && !clock_getcpuclockid(agent, &clock))
    c.agent_ns = clock_ns(clock);
  machine(&c);
  return c;
}

static double since(uint64_t before, uint64_t now)
{
  return now > before ? (double)(now - before) : 0;
}

struct shares shares_between(const struct shares_clocks *before, const struct shares_clocks *now,
                             double processors)
{
  if (!before->us || now->us < before->us + SHARES_MIN_US)
    return (struct shares){-1, -1, -1};
  double process = since(before->process_ns, now->process_ns),
         server = since(before->server_ns, now->server_ns),
         allowed = (double)(now->us - before->us) * 1000 * processors;
  if (server > process) /* the clocks are read one after another */
    server = process;
  struct shares s = {.server = server / allowed,
                     .ours = (process - server) / allowed,
                     .left = 1 - process / allowed};
  if (before->agent_ns && now->agent_ns)
    s.ours += since(before->agent_ns, now->agent_ns) / allowed;
  if (before->machine_ns && now->machine_ns > before->machine_ns)
  {
    double idle = since(before->idle_ns, now->idle_ns) / since(before->machine_ns, now->machine_ns);
    if (idle < s.left)
      s.left = idle;
  }
  if (s.left < 0)
    s.left = 0;
  return s;
}
