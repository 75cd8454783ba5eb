// Not bad, but old: compiled with the SDK of 1.0, whose structs end earlier.
#include <cstddef>

#include "pulse.h"

namespace {

// What gorb_result was.
struct Result {
    uint32_t struct_size, verdict, share;
    int32_t code;
    uint64_t latency_ns;
    gorb_str detail;
};
static_assert(sizeof(Result) == offsetof(gorb_result, warning));

struct Run {
    const gorb_host* host;
    const gorb_pulse_host* pulse;
};

void start(void* probe, gorb_run run, uint64_t) {
    const auto& [host, pulse] = *static_cast<Run*>(probe);
    const Result result = {sizeof result, GORB_PASS, 100, 0, 0, gorb::sdk::str("well")};
    pulse->report(host, run, reinterpret_cast<const gorb_result*>(&result));
}
void* create(const gorb_host* host, const gorb_config*, gorb_error*) {
    return new Run{host, static_cast<const gorb_pulse_host*>(host->service(host, GORB_KIND_PULSE))};
}
void* add(void* self, const gorb_target*, gorb_error*) {
    return new Run(*static_cast<Run*>(self));
}
void remove(void* run) {
    delete static_cast<Run*>(run);
}
void nothing(void*, gorb_run) {}

const gorb_pulse_ops ops = {
    offsetof(gorb_pulse_ops, push), nullptr, nullptr, create, remove, add, remove, start, nothing, {}, {}};
const gorb_plugin plugin = {sizeof plugin, GORB_KIND_PULSE, "old", "1.0.0", "is of 1.0", nullptr, &ops};
const gorb_plugin* const plugins[] = {&plugin, nullptr};

}  // namespace

const gorb_entry gorb_plugin_entry = {sizeof gorb_plugin_entry, 1, 0, "SDK 1.0", plugins, nullptr, nullptr};
