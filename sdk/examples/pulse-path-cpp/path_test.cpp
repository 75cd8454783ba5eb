// How a plugin is tested without gorbd and without any test framework.
#include <cstdio>
#include <cstdlib>
#include <gorb/testing.hpp>

using namespace gorb::testing;

static void expect(bool good, const char* what) {
    std::printf("%s %s\n", good ? "ok  " : "FAIL", what);
    if (!good) std::exit(1);
}

int main() {
    const gorb_plugin& path = *gorb_plugin_entry.plugins[0];
    FakeHost host;
    PulseRunner pulse(host, path);

    const auto there = pulse.run(pulse.add(address("127.0.0.1", 80), {{"path", "/"}}));
    expect(there && there->verdict == GORB_PASS, "a path that can be read passes");

    const auto gone = pulse.run(pulse.add(address("127.0.0.1", 80), {{"path", "/no/such/path"}}));
    expect(gone && gone->verdict == GORB_FAIL && gone->code == ENOENT,
           "a path that is not there fails, with ENOENT");

    host.most_work = 0;
    const auto busy = pulse.run(pulse.add(address("127.0.0.1", 80), {{"path", "/"}}));
    expect(busy && busy->verdict == GORB_UNKNOWN, "busy workers are not the target's fault");

    expect(PulseRunner::check(path, {{"path", "relative"}}) == "\"path\" must begin with /",
           "check() wants an absolute path");
    expect(pulse.destroy().empty() && host.violations().empty(), "nothing is left behind");
}
