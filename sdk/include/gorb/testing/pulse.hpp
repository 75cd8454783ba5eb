// Drives one instance of a pulse plugin on a FakeHost: create, add, start, cancel, remove, destroy.
//
// Part of gorb/testing.hpp. The plugin is a gorb_plugin: `gorb::sdk::Pulse<P>::table` of a class compiled
// into the test, or one from a loaded library's gorb_plugin_entry.
#ifndef GORB_TESTING_PULSE_HPP
#define GORB_TESTING_PULSE_HPP
#include <gorb/testing/config.hpp>
#include <gorb/testing/host.hpp>

#include <memory>
#include <optional>

namespace gorb::testing {

// "127.0.0.1" or "::1". Throws std::invalid_argument.
inline gorb_addr address(const std::string& ip, uint16_t port) {
    gorb_addr addr{};
    addr.port = port;
    addr.family = inet_pton(AF_INET, ip.c_str(), addr.ip) == 1    ? 4
                  : inet_pton(AF_INET6, ip.c_str(), addr.ip) == 1 ? 6
                                                                  : 0;
    if (addr.family == 0) throw std::invalid_argument("\"" + ip + "\" is no address");
    return addr;
}

class PulseRunner {
  public:
    // create(). Throws std::runtime_error with the plugin's words when it refuses.
    PulseRunner(FakeHost& host, const gorb_plugin& plugin, const Values& options = {})
        : host_(host),
          ops_(*static_cast<const gorb_pulse_ops*>(plugin.ops)),
          config_(plugin.options, options) {
        gorb_error why{};
        host_.measured("create()", [&] { self_ = ops_.create(host_.c(), config_.c(), &why); });
        if (!self_) throw std::runtime_error(why.text);
    }
    ~PulseRunner() { destroy(); }
    PulseRunner(const PulseRunner&) = delete;
    PulseRunner& operator=(const PulseRunner&) = delete;

    // What check() says to these arguments: "" for yes. Throws std::invalid_argument where gorbd itself would
    // refuse.
    static std::string check(const gorb_plugin& plugin, const Values& args) {
        const auto& ops = *static_cast<const gorb_pulse_ops*>(plugin.ops);
        const FakeConfig config(ops.args, args);
        gorb_error why{};
        if (!ops.check || ops.check(config.c(), &why) == 0) return "";
        return why.text[0] ? why.text : "refused without a word";
    }

    using Probe = void*;
    // add(). Throws std::runtime_error with the plugin's words when it refuses.
    // `source` (family 0: any), `interface` and `fwmark` as the pulse's options of these names.
    Probe add(const gorb_addr& addr, const Values& args = {}, uint32_t fwmark = 0,
              const gorb_addr& source = {}, const std::string& interface = "") {
        auto given = std::make_unique<FakeConfig>(ops_.args, args);
        const std::string service = "web", backend = "b" + std::to_string(probes_.size() + 1);
        gorb_target target{};
        target.struct_size = sizeof target;
        target.fwmark = fwmark;
        target.source = source;
        target.interface = sdk::str(interface);
        target.addr = addr;
        target.service = sdk::str(service);
        target.backend = sdk::str(backend);
        target.name = sdk::str("");  // as gorbd
        target.args = given->c();
        gorb_error why{};
        Probe probe = nullptr;
        host_.measured("add()", [&] { probe = ops_.add(self_, &target, &why); });
        if (!probe) throw std::runtime_error(why.text);
        probes_.insert(probe);
        return probe;  // `given` ends here: a plugin that keeps the pointer is found by a sanitizer
    }
    void remove(Probe probe) {
        probes_.erase(probe);
        auto run = runs_.find(probe);
        if (run != runs_.end()) {
            host_.forget_run(run->second);  // what is reported from within is late
            runs_.erase(run);
        }
        host_.measured("remove()", [&] { ops_.remove(probe); });
    }

    gorb_run start(Probe probe, std::chrono::nanoseconds timeout = std::chrono::seconds(5)) {
        gorb_run& run_of = runs_[probe];
        if (host_.run_open(run_of)) cancel(probe, run_of);
        const gorb_run run = run_of = host_.begin_run(run_of);
        const uint64_t deadline = host_.in(timeout);
        host_.loop().at(deadline, [this, alive = std::weak_ptr<int>(alive_), probe, run] {
            if (alive.expired() || !host_.run_open(run)) return;
            const bool has = GORB_HAS(gorb_pulse_ops, &ops_, expire) && ops_.expire;
            has ? expire(probe, run) : cancel(probe, run);
        });
        host_.measured("start()", [&] { ops_.start(probe, run, deadline); });
        return run;
    }
    // What gorbd does at the deadline to a pulse that has expire() (to another one cancel()), as the loop
    // does here by itself.
    void expire(Probe probe, gorb_run run) {
        host_.measured("expire()", [&] { ops_.expire(probe, run); });
        host_.end_run(run);
    }
    void cancel(Probe probe, gorb_run run) {
        host_.end_run(run);
        host_.measured("cancel()", [&] { ops_.cancel(probe, run); });
    }
    // Does this pulse take reports from outside?
    bool takes_reports() const { return GORB_HAS(gorb_pulse_ops, &ops_, push) && ops_.push; }
    // push(). What it says against the report: "" for taken.
    std::string push(Probe probe, uint32_t verdict, const std::string& detail = "", uint32_t share = 100,
                     int32_t code = 0) {
        if (!takes_reports()) return "this pulse takes no reports";
        const gorb_push report = {sizeof(gorb_push), verdict, share, code, sdk::str(detail)};
        gorb_error why{};
        int32_t rc = 0;
        host_.measured("push()", [&] { rc = ops_.push(probe, &report, &why); });
        if (rc == 0) return "";
        return why.text[0] ? why.text : "refused without a word";
    }
    // Turns the loop until `run` is answered. nullopt when it is not within `limit` of real time.
    std::optional<Report> wait(gorb_run run, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        host_.loop().run_until([&] { return !host_.reports_of(run).empty(); }, limit);
        const auto reports = host_.reports_of(run);
        if (reports.empty()) return std::nullopt;
        return reports.front();
    }
    // One whole check: start and wait.
    std::optional<Report> run(Probe probe, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        return wait(start(probe), limit);
    }

    // remove() of what is left, the work that is due, destroy(). What the plugin held until the end, e.g. "1
    // timer", is returned, and taken away as gorbd would.
    std::vector<std::string> destroy() {
        if (!self_) return {};
        while (!probes_.empty()) remove(*probes_.begin());
        while (!host_.finish_work()) continue;  // what runs may use the instance
        host_.measured("destroy()", [&] { ops_.destroy(self_); });
        self_ = nullptr;
        auto left = host_.held();
        host_.release();
        return left;
    }

  private:
    FakeHost& host_;
    const gorb_pulse_ops& ops_;
    const FakeConfig config_;
    void* self_ = nullptr;
    std::set<Probe> probes_;
    std::map<Probe, gorb_run> runs_;
    const std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_PULSE_HPP
