/* Forgets to say how large its gorb_conn_events is: gorbd refuses each of its connections. */
#include <gorb/abi.h>
#include <stdlib.h>

typedef struct Probe {
    const gorb_host* host;
    gorb_addr addr;
} Probe;

static void opened(void* probe, gorb_conn* conn) {
    (void)probe, (void)conn;
}
static size_t received(void* probe, gorb_conn* conn, const uint8_t* data, size_t size) {
    (void)probe, (void)conn, (void)data;
    return size;
}
static void closed(void* probe, gorb_conn* conn, int32_t why) {
    (void)probe, (void)conn, (void)why;
}

static void* create(const gorb_host* host, const gorb_config* config, gorb_error* error) {
    (void)config, (void)error;
    return (void*)host;
}
static void destroy(void* self) {
    (void)self;
}
static void* add(void* self, const gorb_target* target, gorb_error* error) {
    (void)error;
    Probe* probe = calloc(1, sizeof *probe);
    if (probe) *probe = (Probe){self, target->addr};
    return probe;
}
static void remove_probe(void* probe) {
    free(probe);
}
static void start(void* arg, gorb_run run, uint64_t deadline_ns) {
    const Probe* probe = arg;
    const gorb_net* net = probe->host->service(probe->host, GORB_SERVICE_NET);
    const gorb_pulse_host* pulse = probe->host->service(probe->host, GORB_KIND_PULSE);
    const gorb_conn_events events = {.opened = opened, .received = received, .closed = closed};
    const gorb_conn_options options = {.struct_size = sizeof options,
                                       .transport = GORB_TCP,
                                       .peer = probe->addr,
                                       .deadline_ns = deadline_ns};
    gorb_error why = {""};
    gorb_conn* conn = net ? net->open(probe->host, &options, &events, arg, &why) : NULL;
    if (conn) net->close(conn);
    const gorb_result result = {.struct_size = sizeof result,
                                .verdict = conn ? GORB_PASS : GORB_UNKNOWN,
                                .share = 100,
                                .detail = {"looked", 6}};
    pulse->report(probe->host, run, &result);
}
static void cancel(void* probe, gorb_run run) {
    (void)probe, (void)run;
}

static const gorb_pulse_ops ops = {.struct_size = sizeof ops,
                                   .create = create,
                                   .destroy = destroy,
                                   .add = add,
                                   .remove = remove_probe,
                                   .start = start,
                                   .cancel = cancel};
static const gorb_plugin plugin = {sizeof plugin, GORB_KIND_PULSE, "bad", "1.0.0", "has one fault", NULL,
                                   &ops};
static const gorb_plugin* const plugins[] = {&plugin, NULL};
GORB_EXPORT const gorb_entry gorb_plugin_entry = {
    sizeof gorb_plugin_entry, GORB_ABI_MAJOR, 0, "c", plugins, NULL, NULL};
