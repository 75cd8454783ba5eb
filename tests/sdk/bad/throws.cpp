// Written without the glue: an exception leaves start().
#include <gorb/abi.h>

#include <stdexcept>

static int nothing;
static void* create(const gorb_host*, const gorb_config*, gorb_error*) {
    return &nothing;
}
static void destroy(void*) {}
static void* add(void*, const gorb_target*, gorb_error*) {
    return &nothing;
}
static void start(void*, gorb_run, uint64_t) {
    throw std::runtime_error("this must not leave the plugin");
}
static void cancel(void*, gorb_run) {}

static const gorb_pulse_ops ops = {sizeof ops, nullptr, nullptr, create, destroy,
                                   add,        destroy, start,   cancel};
static const gorb_plugin plugin = {sizeof plugin, GORB_KIND_PULSE, "bad", "1", "throws", nullptr, &ops};
static const gorb_plugin* const plugins[] = {&plugin, nullptr};
const gorb_entry gorb_plugin_entry = {
    sizeof(gorb_entry), GORB_ABI_MAJOR, 0, "test", plugins, nullptr, nullptr};
