/* The channel to the agent; see channel.h. */
#include "plugin/channel.h"
#include "plugin/progress.h"
#include "plugin/slots.h"
#include "plugin/socket.h"
#include "common/priority.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS      50
#define WHY_MS       1000 /* how long the reason for an end of the connection may take to be read */
#define US_PER_MS    1000u
#define SEND_AT_ONCE 64u /* messages in one call */

struct message
{
  struct message *next;
  size_t size;
  uint8_t bytes[];
};

struct channel
{
  int fd;
  /* all below: mutex. Taken last: nothing else is locked under it, nothing is held across I/O. */
  pthread_mutex_t mutex;
  pthread_cond_t changed, outgoing;
  struct slots slots;
  struct message *head, **tail;
  bool due; /* something is queued that does not wait for the next slot to go */
  unsigned queued;
  bool stop, dead, committed, sending;
  struct gb_error error;
  struct wire_committed committed_message;
  uint64_t heard_us, freed_us;
  pthread_t sender, receiver;
  bool threads;
};

static uint64_t deadline(unsigned timeout_ms)
{
  return now_us() + (uint64_t)timeout_ms * US_PER_MS;
}

/* Sends one message and waits for its answer; payload and answer share a buffer of
 * WIRE_PAYLOAD_MAX. */
static bool ask(struct channel *ch, enum wire_type type, uint8_t *buffer, size_t size,
                enum wire_type wanted, uint32_t *answer_size, uint64_t until_us,
                struct gb_error *error)
{
  uint8_t header[WIRE_HEADER_SIZE];
  wire_put_header(header, type, size);
  if (!socket_write(ch->fd, header, sizeof header, until_us, -1) ||
      !socket_write(ch->fd, buffer, size, until_us, -1))
    return error_set(error, GB_agent_absent, "the agent closed the connection or takes nothing");
  int got = socket_read(ch->fd, header, sizeof header, until_us);
  uint16_t got_type;
  if (got == 1 && !wire_get_header(header, &got_type, answer_size, error))
    return false;
  if (got == 1)
    got = socket_read(ch->fd, buffer, *answer_size, until_us);
  if (got != 1)
    return error_set(error, GB_agent_absent,
                     got == 0 ? "the agent closed the connection"
                              : "the agent did not answer in time");
  if (got_type == WIRE_ERROR)
  {
    struct wire_error e;
    if (!wire_get_error(buffer, *answer_size, &e, error))
      return false;
    error_set(error, error_from_number(e.code), "%s", e.what);
    error_hint(error, "%s", e.hint);
    return false;
  }
  if (got_type != wanted)
    return error_set(error, GB_protocol, "the agent answered with message %u where %u was expected",
                     got_type, (unsigned)wanted);
  return true;
}

struct channel *channel_open(const char *path, const struct wire_hello *hello, unsigned timeout_ms,
                             struct gb_error *error)
{
  uint64_t until = deadline(timeout_ms);
  struct channel *ch = calloc(1, sizeof *ch);
  uint8_t *buffer = ch ? malloc(WIRE_PAYLOAD_MAX) : NULL;
  if (!buffer)
  {
    error_set(error, GB_no_memory, "no memory for the channel");
    free(ch);
    return NULL;
  }
  ch->slots.memfd = -1;
  ch->tail = &ch->head;
  pthread_mutex_init(&ch->mutex, NULL);
  cond_init_monotonic(&ch->changed);
  cond_init_monotonic(&ch->outgoing);
  if ((ch->fd = socket_connect(path, until, error)) < 0)
    goto fail;
  struct bytes_writer w = bytes_writer(buffer, WIRE_PAYLOAD_MAX);
  wire_put_hello(&w, hello);
  uint32_t size;
  struct wire_welcome welcome;
  if (!ask(ch, WIRE_HELLO, buffer, w.at, WIRE_WELCOME, &size, until, error) ||
      !wire_get_welcome(buffer, size, &welcome, error))
    goto fail;
  if (welcome.version < WIRE_VERSION_MIN || welcome.version > WIRE_VERSION_MAX)
  {
    error_set(error, GB_protocol, "agent %s speaks protocol %u, this plugin %u to %u",
              welcome.agent_version, welcome.version, WIRE_VERSION_MIN, WIRE_VERSION_MAX);
    goto fail;
  }
  free(buffer);
  return ch;
fail:
  free(buffer);
  channel_close(ch);
  return NULL;
}

bool channel_start(struct channel *ch, const struct wire_start *start, struct wire_ready *ready,
                   unsigned timeout_ms, struct gb_error *error)
{
  uint8_t *buffer = malloc(WIRE_PAYLOAD_MAX);
  if (!buffer)
    return error_set(error, GB_no_memory, "no memory for a message");
  struct bytes_writer w = bytes_writer(buffer, WIRE_PAYLOAD_MAX);
  wire_put_start(&w, start);
  uint32_t size;
  bool ok = ask(ch, WIRE_START, buffer, w.at, WIRE_READY, &size, deadline(timeout_ms), error) &&
            wire_get_ready(buffer, size, ready, error);
  free(buffer);
  return ok;
}

bool channel_check(struct channel *ch, const struct wire_check *check, struct wire_checked *checked,
                   unsigned timeout_ms, struct gb_error *error)
{
  uint8_t *buffer = malloc(WIRE_PAYLOAD_MAX);
  if (!buffer)
    return error_set(error, GB_no_memory, "no memory for a message");
  struct bytes_writer w = bytes_writer(buffer, WIRE_PAYLOAD_MAX);
  wire_put_check(&w, check);
  uint32_t size;
  bool ok = ask(ch, WIRE_CHECK, buffer, w.at, WIRE_CHECKED, &size, deadline(timeout_ms), error) &&
            wire_get_checked(buffer, size, checked, error);
  free(buffer);
  return ok;
}

bool channel_hold(struct channel *ch, const struct wire_hold *hold, struct wire_held *held,
                  unsigned timeout_ms, struct gb_error *error)
{
  uint8_t *buffer = malloc(WIRE_PAYLOAD_MAX);
  if (!buffer)
    return error_set(error, GB_no_memory, "no memory for a message");
  struct bytes_writer w = bytes_writer(buffer, WIRE_PAYLOAD_MAX);
  wire_put_hold(&w, hold);
  uint32_t size;
  bool ok = ask(ch, WIRE_HOLD, buffer, w.at, WIRE_HELD, &size, deadline(timeout_ms), error) &&
            wire_get_held(buffer, size, held, error);
  free(buffer);
  return ok;
}

bool channel_closed(const struct channel *ch)
{
  char byte;
  return recv(ch->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void free_messages(struct message *list)
{
  for (struct message *next; list; list = next)
  {
    next = list->next;
    free(list);
  }
}

/* Under mutex. */
static void die(struct channel *ch, enum gb_code code, const char *what, const char *hint)
{
  if (!ch->dead)
  {
    error_set(&ch->error, code, "%s", what);
    if (hint)
      error_hint(&ch->error, "%s", hint);
  }
  ch->dead = true;
  pthread_cond_broadcast(&ch->changed);
}

void channel_give_up(struct channel *ch, const char *why)
{
  pthread_mutex_lock(&ch->mutex);
  die(ch, GB_agent_lost, why, NULL);
  pthread_mutex_unlock(&ch->mutex);
}

/* Sends and frees a list of messages, as many in a call as go; false: stopped, or the agent is
 * gone. */
static bool send_list(struct channel *ch, struct message *list)
{
  size_t at = 0; /* bytes of the first that have gone */
  while (list)
  {
    struct iovec iov[SEND_AT_ONCE];
    struct msghdr m = {.msg_iov = iov};
    for (struct message *each = list; each && m.msg_iovlen < SEND_AT_ONCE; each = each->next)
      iov[m.msg_iovlen++] = (struct iovec){each->bytes, each->size};
    iov[0].iov_base = list->bytes + at;
    iov[0].iov_len -= at;
    ssize_t n = sendmsg(ch->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      break;
    if (n < 0)
    {
      socket_wait(ch->fd, POLLOUT, deadline(POLL_MS));
      pthread_mutex_lock(&ch->mutex);
      bool stop = ch->stop || ch->dead;
      pthread_mutex_unlock(&ch->mutex);
      if (stop)
        break;
      continue;
    }
    at += (size_t)n;
    while (list && at >= list->size)
    {
      struct message *next = list->next;
      at -= list->size;
      free(list);
      list = next;
    }
  }
  bool ok = !list;
  free_messages(list);
  return ok;
}

/* Waits a slice of time for a change. Under mutex. */
static void wait_slice(struct channel *ch)
{
  struct timespec until = deadline_in_ms(POLL_MS);
  pthread_cond_timedwait(&ch->changed, &ch->mutex, &until);
}

static void *sender_main(void *argument)
{
  priority_name("gb-send");
  struct channel *ch = argument;
  pthread_mutex_lock(&ch->mutex);
  for (;;)
  {
    while (!(ch->head && ch->due) && !ch->stop)
      pthread_cond_wait(&ch->outgoing, &ch->mutex);
    if (ch->stop)
      break;
    struct message *list = ch->head;
    ch->head = NULL;
    ch->tail = &ch->head;
    ch->queued = 0;
    ch->due = false;
    ch->sending = true;
    pthread_mutex_unlock(&ch->mutex);
    bool ok = send_list(ch, list);
    pthread_mutex_lock(&ch->mutex);
    ch->sending = false;
    /* An agent says why before it closes: the receiver has that to read, and the end behind it. */
    for (uint64_t until = deadline(WHY_MS); !ok && !ch->stop && !ch->dead && now_us() < until;)
      wait_slice(ch);
    if (!ok && !ch->stop)
      die(ch, GB_agent_lost, "the agent closed the connection", NULL);
    pthread_cond_broadcast(&ch->changed);
    if (!ok)
      break;
  }
  pthread_mutex_unlock(&ch->mutex);
  return NULL;
}

static bool take_back(struct channel *ch, const struct wire_free *message)
{
  for (uint32_t i = 0; i < message->count; i++)
    if (!slots_take_back(&ch->slots, message->slot[i]))
      return false;
  ch->freed_us = now_us();
  return true;
}

union incoming
{
  struct wire_free free;
  struct wire_progress progress;
  struct wire_committed committed;
  struct wire_warning warning;
  struct wire_error error;
};

static void note_progress(const struct wire_progress *m)
{
  struct progress *p = progress_lock();
  p->bytes_stored = m->bytes_stored;
  p->store_rate = m->store_rate;
  p->redo_full = m->redo_full;
  p->agent_bottleneck = m->bottleneck == 2   ? BOTTLENECK_STORE
                        : m->bottleneck == 1 ? BOTTLENECK_CPU
                                             : BOTTLENECK_NONE;
  snprintf(p->repositories, sizeof p->repositories, "%.*s", (int)sizeof p->repositories - 1,
           m->repositories);
  progress_unlock();
}

/* One message from the agent. Returns false with error set if it is not one. */
static bool receive(struct channel *ch, uint16_t type, const uint8_t *payload, uint32_t size,
                    union incoming *in, struct gb_error *error)
{
  bool ok = false;
  switch (type)
  {
  case WIRE_FREE:
    if (!wire_get_free(payload, size, &in->free, error))
      return false;
    pthread_mutex_lock(&ch->mutex);
    ok = take_back(ch, &in->free);
    pthread_cond_broadcast(&ch->changed);
    pthread_mutex_unlock(&ch->mutex);
    return ok || error_set(error, GB_protocol, "the agent gave back a slot that it does not have");
  case WIRE_PROGRESS:
    if ((ok = wire_get_progress(payload, size, &in->progress, error)))
      note_progress(&in->progress);
    return ok;
  case WIRE_WARNING:
    if ((ok = wire_get_warning(payload, size, &in->warning, error)))
      progress_warn(in->warning.text, false);
    return ok;
  case WIRE_COMMITTED:
    if (!wire_get_committed(payload, size, &in->committed, error))
      return false;
    pthread_mutex_lock(&ch->mutex);
    ch->committed = true;
    ch->committed_message = in->committed;
    pthread_cond_broadcast(&ch->changed);
    pthread_mutex_unlock(&ch->mutex);
    return true;
  case WIRE_ERROR:
    if (!wire_get_error(payload, size, &in->error, error))
      return false;
    error_set(error, error_from_number(in->error.code), "%s", in->error.what);
    error_hint(error, "%s", in->error.hint);
    return false;
  default:
    return error_set(error, GB_protocol,
                     "the agent sent message %u, which this plugin does not know", type);
  }
}

static void *receiver_main(void *argument)
{
  priority_name("gb-receive");
  struct channel *ch = argument;
  uint8_t *payload = malloc(WIRE_PAYLOAD_MAX);
  union incoming *in = malloc(sizeof *in);
  struct gb_error error = {0};
  if (!payload || !in)
    error_set(&error, GB_no_memory, "no memory for messages");
  while (!error.code)
  {
    bool readable = socket_wait(ch->fd, POLLIN, deadline(POLL_MS));
    pthread_mutex_lock(&ch->mutex);
    bool stop = ch->stop || ch->dead;
    pthread_mutex_unlock(&ch->mutex);
    if (stop)
      break;
    if (!readable)
      continue;
    uint8_t header[WIRE_HEADER_SIZE];
    uint16_t type;
    uint32_t size;
    /* The rest of a message follows its start at once; a peer that stops in the middle is found by
       the coordinator, which gives the channel up. */
    int got;
    while ((got = socket_read(ch->fd, header, sizeof header, deadline(POLL_MS * 20))) == -1 &&
           !ch->stop && !ch->dead)
      continue;
    if (got == 1 && !wire_get_header(header, &type, &size, &error))
      break;
    if (got == 1)
      got = socket_read(ch->fd, payload, size, deadline(10000));
    if (got != 1)
    {
      error_set(&error, GB_agent_lost,
                got == 0 ? "the agent closed the connection"
                         : "the agent stopped in the middle of a message");
      break;
    }
    pthread_mutex_lock(&ch->mutex);
    ch->heard_us = now_us();
    pthread_mutex_unlock(&ch->mutex);
    if (!receive(ch, type, payload, size, in, &error))
      break;
  }
  if (error.code)
  {
    pthread_mutex_lock(&ch->mutex);
    die(ch, error.code, error.what, error.hint);
    pthread_mutex_unlock(&ch->mutex);
  }
  free(payload);
  free(in);
  return NULL;
}

bool channel_begin(struct channel *ch, uint64_t bytes, struct gb_error *error)
{
  if (!slots_make(&ch->slots, bytes, error))
    return false;
  uint8_t message[WIRE_HEADER_SIZE + 64];
  struct bytes_writer w =
      bytes_writer(message + WIRE_HEADER_SIZE, sizeof message - WIRE_HEADER_SIZE);
  struct wire_ring ring = {RING_SLOT_SIZE, ch->slots.page_slots, RING_REDO_SLOTS};
  wire_put_ring(&w, &ring);
  wire_put_header(message, WIRE_RING, w.at);
  if (!socket_write(ch->fd, message, WIRE_HEADER_SIZE + w.at, deadline(1000), ch->slots.memfd))
    return error_set(error, GB_agent_lost, "the agent did not take the ring");
  ch->heard_us = ch->freed_us = now_us();
  if (pthread_create(&ch->sender, NULL, sender_main, ch))
    return error_set(error, GB_no_memory, "no thread for the channel");
  if (pthread_create(&ch->receiver, NULL, receiver_main, ch))
  {
    pthread_mutex_lock(&ch->mutex);
    ch->stop = true;
    pthread_cond_broadcast(&ch->changed);
    pthread_mutex_unlock(&ch->mutex);
    pthread_join(ch->sender, NULL);
    return error_set(error, GB_no_memory, "no thread for the channel");
  }
  ch->threads = true;
  return true;
}

void channel_refuse(struct channel *ch, const struct wire_abort *message)
{
  uint8_t buffer[WIRE_HEADER_SIZE + sizeof *message + 64];
  struct bytes_writer w = bytes_writer(buffer + WIRE_HEADER_SIZE, sizeof buffer - WIRE_HEADER_SIZE);
  if (!wire_put_abort(&w, message))
    return;
  wire_put_header(buffer, WIRE_ABORT, w.at);
  socket_write(ch->fd, buffer, WIRE_HEADER_SIZE + w.at, deadline(1000), -1);
}

void channel_close(struct channel *ch)
{
  if (!ch)
    return;
  if (ch->threads)
  {
    pthread_mutex_lock(&ch->mutex);
    ch->stop = true;
    pthread_cond_broadcast(&ch->changed);
    pthread_cond_signal(&ch->outgoing);
    pthread_mutex_unlock(&ch->mutex);
    shutdown(ch->fd, SHUT_RDWR);
    pthread_join(ch->sender, NULL);
    pthread_join(ch->receiver, NULL);
  }
  if (ch->fd > 0)
    close(ch->fd);
  free_messages(ch->head);
  slots_free(&ch->slots);
  pthread_mutex_destroy(&ch->mutex);
  pthread_cond_destroy(&ch->changed);
  pthread_cond_destroy(&ch->outgoing);
  free(ch);
}

int channel_slot_take(struct channel *ch, enum slot_pool pool, const volatile bool *stop)
{
  int slot;
  pthread_mutex_lock(&ch->mutex);
  while ((slot = slots_take(&ch->slots, pool)) < 0 && pool == SLOT_PAGE && !ch->dead && !ch->stop &&
         !*stop)
    wait_slice(ch);
  if (slot >= 0 && pool == SLOT_PAGE && (ch->dead || *stop))
  {
    slots_return(&ch->slots, slot);
    slot = -1;
  }
  pthread_mutex_unlock(&ch->mutex);
  return slot;
}

uint8_t *channel_slot_data(const struct channel *ch, int slot)
{
  return ch->slots.map + (size_t)slot * RING_SLOT_SIZE;
}

void channel_slot_return(struct channel *ch, int slot)
{
  pthread_mutex_lock(&ch->mutex);
  slots_return(&ch->slots, slot);
  pthread_cond_broadcast(&ch->changed);
  pthread_mutex_unlock(&ch->mutex);
}

bool channel_reserve(struct channel *ch, unsigned count, unsigned timeout_ms)
{
  uint64_t until = deadline(timeout_ms);
  pthread_mutex_lock(&ch->mutex);
  while (!slots_reserve(&ch->slots, count) && !ch->dead && !ch->stop && now_us() < until)
    wait_slice(ch);
  bool ok = ch->slots.reserved >= count;
  pthread_mutex_unlock(&ch->mutex);
  return ok;
}

void channel_unreserve(struct channel *ch)
{
  pthread_mutex_lock(&ch->mutex);
  slots_unreserve(&ch->slots);
  pthread_cond_broadcast(&ch->changed);
  pthread_mutex_unlock(&ch->mutex);
}

unsigned channel_page_slots(const struct channel *ch)
{
  return ch->slots.page_slots;
}

static struct message *new_message(size_t capacity)
{
  return malloc(sizeof(struct message) + WIRE_HEADER_SIZE + capacity);
}

/* Queues m, whose payload has been written behind the header's place. slot >= 0: it hands that slot
 * over. */
static void enqueue(struct channel *ch, struct message *m, enum wire_type type,
                    const struct bytes_writer *w, int slot)
{
  pthread_mutex_lock(&ch->mutex);
  if (!m || w->failed)
    die(ch, m ? GB_internal : GB_no_memory, m ? "a message is too long" : "no memory for a message",
        NULL);
  if (ch->dead || ch->stop)
  {
    pthread_mutex_unlock(&ch->mutex);
    free(m);
    return;
  }
  wire_put_header(m->bytes, type, w->at);
  m->size = WIRE_HEADER_SIZE + w->at;
  m->next = NULL;
  *ch->tail = m;
  ch->tail = &m->next;
  if (slot >= 0)
  {
    if (!ch->slots.with_agent_count)
      ch->freed_us = now_us();
    slots_hand_over(&ch->slots, slot);
  }
  /* What a file is and how it ended goes with the slot that follows. */
  if ((type != WIRE_FILE && type != WIRE_FILE_DONE) || ++ch->queued == SEND_AT_ONCE)
  {
    ch->due = true;
    pthread_cond_signal(&ch->outgoing);
  }
  pthread_mutex_unlock(&ch->mutex);
}

/* Room that any message but a slot's needs, and what an extent adds. */
#define MESSAGE_ROOM 4096u
#define SMALL_ROOM   64u
#define EXTENT_ROOM  24u
#define FACTS_ROOM   (160u << 10)

#define DEFINE_SEND(name, TYPE, shape, room, slot)                                                 \
  void channel_send_##name(struct channel *channel, const shape *message)                          \
  {                                                                                                \
    size_t size = (room);                                                                          \
    struct message *m = new_message(size);                                                         \
    struct bytes_writer w = bytes_writer(m ? m->bytes + WIRE_HEADER_SIZE : NULL, m ? size : 0);    \
    if (m)                                                                                         \
      wire_put_##name(&w, message);                                                                \
    enqueue(channel, m, TYPE, &w, (slot));                                                         \
  }

DEFINE_SEND(redo, WIRE_REDO, struct wire_redo, MESSAGE_ROOM, -1)
DEFINE_SEND(file, WIRE_FILE, struct wire_file, SMALL_ROOM + strlen(message->path), -1)
DEFINE_SEND(slot, WIRE_SLOT, struct wire_slot, SMALL_ROOM + message->count * EXTENT_ROOM,
            (int)message->slot)
DEFINE_SEND(file_done, WIRE_FILE_DONE, struct wire_file_done, SMALL_ROOM, -1)
DEFINE_SEND(file_drop, WIRE_FILE_DROP, struct wire_file_no, SMALL_ROOM, -1)
DEFINE_SEND(file_name, WIRE_FILE_NAME, struct wire_file_name, SMALL_ROOM + strlen(message->path),
            -1)
DEFINE_SEND(log, WIRE_LOG, struct wire_log, MESSAGE_ROOM, -1)
DEFINE_SEND(node_progress, WIRE_NODE_PROGRESS, struct wire_node_progress, MESSAGE_ROOM, -1)
DEFINE_SEND(finish, WIRE_FINISH, struct wire_facts, FACTS_ROOM, -1)
DEFINE_SEND(abort, WIRE_ABORT, struct wire_abort, MESSAGE_ROOM, -1)
DEFINE_SEND(resynced, WIRE_RESYNCED, struct wire_facts, FACTS_ROOM, -1)

bool channel_flush(struct channel *ch, unsigned timeout_ms)
{
  uint64_t until = deadline(timeout_ms);
  pthread_mutex_lock(&ch->mutex);
  ch->due = true;
  pthread_cond_signal(&ch->outgoing);
  while ((ch->head || ch->sending) && !ch->dead && now_us() < until)
    wait_slice(ch);
  bool ok = !ch->head && !ch->sending;
  pthread_mutex_unlock(&ch->mutex);
  return ok;
}

bool channel_failed(struct channel *ch, struct gb_error *error)
{
  pthread_mutex_lock(&ch->mutex);
  bool failed = ch->dead;
  if (failed)
    error_copy(error, &ch->error);
  pthread_mutex_unlock(&ch->mutex);
  return failed;
}

pid_t channel_agent(const struct channel *ch)
{
  struct ucred peer;
  return socket_peer(ch->fd, &peer) ? peer.pid : 0;
}

uint64_t channel_silence_us(struct channel *ch)
{
  pthread_mutex_lock(&ch->mutex);
  uint64_t us = now_us() - ch->heard_us;
  pthread_mutex_unlock(&ch->mutex);
  return us;
}

uint64_t channel_stall_us(struct channel *ch)
{
  pthread_mutex_lock(&ch->mutex);
  uint64_t us = ch->slots.with_agent_count ? now_us() - ch->freed_us : 0;
  pthread_mutex_unlock(&ch->mutex);
  return us;
}

bool channel_committed(struct channel *ch, struct wire_committed *committed)
{
  pthread_mutex_lock(&ch->mutex);
  bool yes = ch->committed;
  if (yes && committed)
    *committed = ch->committed_message;
  pthread_mutex_unlock(&ch->mutex);
  return yes;
}
