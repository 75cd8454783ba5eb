/* Example in C: pulse "udp-reply". Sends one datagram and passes when a reply comes that begins as expected.
 *
 * It shows the bare contract of gorb/abi.h, without the C++ glue: the tables, an instance, a probe for each
 * target, one run at a time, and a connection of gorb.net/1. Nothing here blocks, and there is no lock: all
 * calls come on one loop.
 */
#include <errno.h>
#include <gorb/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct instance {
    const gorb_host* host;
    const gorb_net* net;
    const gorb_pulse_host* pulse;
};

struct probe {
    const struct instance* instance;
    gorb_addr peer, source;
    uint32_t fwmark;
    char interface[16];
    char send[512], expect[512];
    size_t send_size, expect_size;
    gorb_conn* conn; /* of the run that is open, or NULL */
    gorb_run run;
};

static gorb_str str(const char* text) {
    gorb_str s = {text, strlen(text)};
    return s;
}

/* ---- one run ---------------------------------------------------------------------------------- */

static void answer(struct probe* probe, uint32_t verdict, int32_t code, const char* why) {
    const struct instance* instance = probe->instance;
    gorb_result result = {.struct_size = sizeof result, .verdict = verdict, .share = 100, .code = code};
    result.detail = str(why);
    if (probe->conn) instance->net->close(probe->conn);
    probe->conn = NULL;
    instance->pulse->report(instance->host, probe->run, &result);
}

static void opened(void* arg, gorb_conn* conn) {
    struct probe* probe = arg;
    int32_t rc = probe->instance->net->send(conn, probe->send, probe->send_size);
    if (rc != 0) answer(probe, GORB_UNKNOWN, -rc, "the datagram could not be sent");
}

static size_t received(void* arg, gorb_conn* conn, const uint8_t* data, size_t len) {
    struct probe* probe = arg;
    (void)conn;
    if (len >= probe->expect_size && memcmp(data, probe->expect, probe->expect_size) == 0)
        answer(probe, GORB_PASS, 0, "replied");
    else
        answer(probe, GORB_FAIL, 0, "the reply does not begin as expected");
    return len;
}

static void closed(void* arg, gorb_conn* conn, int32_t why) {
    struct probe* probe = arg;
    char text[128];
    /* Only what the target does is its fault. Anything else (no buffer, no source port, no route ...) is our
     * own trouble. */
    int blame = why == -ECONNREFUSED || why == -EHOSTUNREACH || why == -ETIMEDOUT;
    (void)conn;
    probe->conn = NULL; /* gone: close() must not be called any more */
    snprintf(text, sizeof text, "no reply: %s",
             why == -ECONNREFUSED ? "nobody listens on that port" : strerror(-why));
    answer(probe, blame ? GORB_FAIL : GORB_UNKNOWN, -why, text);
}

static const gorb_conn_events events = {sizeof events, opened, received, closed};

static void start(void* arg, gorb_run run, uint64_t deadline_ns) {
    struct probe* probe = arg;
    gorb_error error = {""};
    gorb_conn_options options = {.struct_size = sizeof options, .transport = GORB_UDP};
    options.peer = probe->peer;
    options.source = probe->source;
    options.interface = str(probe->interface);
    options.fwmark = probe->fwmark;
    options.deadline_ns = deadline_ns;
    probe->run = run;
    probe->conn = probe->instance->net->open(probe->instance->host, &options, &events, probe, &error);
    if (!probe->conn) answer(probe, GORB_UNKNOWN, 0, error.text); /* our own trouble: never FAIL */
}

static void cancel(void* arg, gorb_run run) {
    struct probe* probe = arg;
    if (probe->run != run || !probe->conn) return;
    probe->instance->net->close(probe->conn);
    probe->conn = NULL;
}

/* ---- targets ---------------------------------------------------------------------------------- */

static const gorb_option args[] = {
    {"send", GORB_TEXT, GORB_REQUIRED, NULL, NULL, "the datagram to send, at most 512 bytes"},
    {"expect", GORB_TEXT, 0, "", NULL, "how the reply must begin; empty for any reply"},
    {"port", GORB_INT, 0, NULL, "1..65535", "port to send to, if not the backend's own"},
    {NULL, 0, 0, NULL, NULL, NULL}};

/* Both texts must fit. The same rule answers the REST request (check) and guards add(). */
static int32_t check(const gorb_config* config, gorb_error* error) {
    gorb_str text;
    if (config->text(config, "send", &text) == 0 && text.len > sizeof((struct probe*)0)->send) {
        snprintf(error->text, sizeof error->text, "\"send\" is longer than 512 bytes");
        return -EINVAL;
    }
    if (config->text(config, "expect", &text) == 0 && text.len > sizeof((struct probe*)0)->expect) {
        snprintf(error->text, sizeof error->text, "\"expect\" is longer than 512 bytes");
        return -EINVAL;
    }
    return 0;
}

static void* add(void* self, const gorb_target* target, gorb_error* error) {
    struct probe* probe;
    gorb_str text;
    int64_t port;
    if (check(target->args, error) != 0) return NULL;
    probe = calloc(1, sizeof *probe);
    if (!probe) {
        snprintf(error->text, sizeof error->text, "out of memory");
        return NULL;
    }
    probe->instance = self;
    probe->peer = target->addr;
    probe->fwmark = target->fwmark;
    if (GORB_HAS(gorb_target, target, interface)) { /* since 1.1 */
        probe->source = target->source;
        snprintf(probe->interface, sizeof probe->interface, "%.*s", (int)target->interface.len,
                 target->interface.ptr);
    }
    if (target->args->text(target->args, "send", &text) == 0)
        memcpy(probe->send, text.ptr, probe->send_size = text.len);
    if (target->args->text(target->args, "expect", &text) == 0 && text.len)
        memcpy(probe->expect, text.ptr, probe->expect_size = text.len);
    if (target->args->integer(target->args, "port", &port) == 0) probe->peer.port = (uint16_t)port;
    return probe;
}

static void remove_probe(void* arg) {
    struct probe* probe = arg;
    if (probe->conn) probe->instance->net->close(probe->conn);
    free(probe);
}

/* ---- the instance ------------------------------------------------------------------------------- */

static void* create(const gorb_host* host, const gorb_config* config, gorb_error* error) {
    struct instance* instance = calloc(1, sizeof *instance);
    (void)config;
    if (instance) {
        instance->host = host;
        instance->net = host->service(host, GORB_SERVICE_NET);
        instance->pulse = host->service(host, GORB_KIND_PULSE);
        if (instance->net && instance->pulse) return instance;
    }
    free(instance);
    snprintf(error->text, sizeof error->text,
             "this host does not offer " GORB_SERVICE_NET " and " GORB_KIND_PULSE);
    return NULL;
}

static void destroy(void* self) {
    free(self);
}

/* ---- what the library shows --------------------------------------------------------------------- */

static const gorb_pulse_ops ops = {sizeof ops, args,         check, create, destroy,
                                   add,        remove_probe, start, cancel};
static const gorb_plugin plugin = {
    sizeof plugin, GORB_KIND_PULSE, "udp-reply", "1.0.0", "sends a datagram and waits for the reply", NULL,
    &ops};
static const gorb_plugin* const plugins[] = {&plugin, NULL};

const gorb_entry gorb_plugin_entry = {
    sizeof gorb_plugin_entry, GORB_ABI_MAJOR, 0, "C example of the SDK", plugins, NULL, NULL};
