/*
  Both sides of the protocol: a frame's header and the payload of each message (wire.h).

  A payload that is read must be the one that writing its message gives: nothing is passed over,
  nothing is cut.

  Input: frames as they travel, one behind another.
*/
#include "common/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static union {
#define MEMBER(name, type, shape) shape as_##name;
    WIRE_MESSAGES(MEMBER)
#undef MEMBER
} message;

static uint8_t written[WIRE_PAYLOAD_MAX];

#define CHECK(name, number, shape)                                                                 \
    case number:                                                                                   \
        if (wire_get_##name(payload, size, &message.as_##name, &error)) {                          \
            struct bytes_writer w = bytes_writer(written, sizeof written);                         \
            REQUIRE(wire_put_##name(&w, &message.as_##name));                                      \
            REQUIRE(w.at == size && !memcmp(written, payload, size));                              \
        } else                                                                                     \
            REQUIRE(error.code == GB_protocol && error.what[0]);                                   \
        break;

static void read_payload(uint16_t type, const uint8_t *payload, size_t size)
{
    struct gb_error error = {0};
    memset(&message, 0xa5, sizeof message); /* what a reader leaves unset must not be believed */
    switch (type) {
        WIRE_MESSAGES(CHECK)
    default:
        break;
    }
}

static void read_facts(const uint8_t *payload, size_t size)
{
    struct gb_error error = {0};
    if (!wire_get_finish(payload, size, &message.as_finish, &error))
        return;
    for (uint32_t i = 0; i < message.as_finish.count; i++)
        REQUIRE(wire_fact(&message.as_finish, message.as_finish.fact[i].key));
    wire_add_fact(&message.as_finish, "position", "%s", "5c3f:1");
}

int fuzz_input(const uint8_t *data, size_t size)
{
    while (size >= WIRE_HEADER_SIZE) {
        uint16_t type;
        uint32_t length;
        struct gb_error error = {0};
        bool ok = wire_get_header(data, &type, &length, &error);
        REQUIRE(ok == !error.code && (!ok || length <= WIRE_PAYLOAD_MAX));
        data += WIRE_HEADER_SIZE;
        size -= WIRE_HEADER_SIZE;
        if (!ok)
            return 0;
        size_t here = length < size ? length : size; /* a payload that is cut is a payload, too */
        uint8_t *payload = malloc(here ? here : 1);
        REQUIRE(payload);
        memcpy(payload, data, here);
        read_payload(type, payload, here);
        if (type == WIRE_FINISH)
            read_facts(payload, here);
        free(payload);
        data += here;
        size -= here;
    }
    return 0;
}
