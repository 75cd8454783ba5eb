#include "plugin/pulse.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "plugin/host.h"
#include "plugin/place_numbers.h"
#include "plugin/text.h"

namespace gorb::plugin {
namespace {

using base::Errc;

constexpr size_t detail_limit = 256;

// A run number is the index of a probe's place and how many runs that has had: found without a search, and
// never used again (2^40 runs of one place). Places are numbered over all instances, since a library that has
// several, on as many loops, may keep its runs in one table.
constexpr unsigned index_bits = 24;
constexpr uint32_t index_mask = (1U << index_bits) - 1;
constexpr uint64_t runs_mask = UINT64_MAX >> index_bits;
constexpr uint32_t chunk_size = 1024;

PlaceNumbers& place_numbers() {
    static PlaceNumbers numbers((index_mask + 1) / chunk_size);
    return numbers;
}

gorb_addr to_c(const base::Endpoint& endpoint) {
    gorb_addr addr{};
    std::copy(endpoint.ip.bytes.begin(), endpoint.ip.bytes.end(), std::begin(addr.ip));
    addr.port = endpoint.port;
    addr.family = static_cast<uint8_t>(endpoint.ip.family);
    return addr;
}

gorb_addr to_c(const base::Ip& ip) {
    return ip ? to_c(base::Endpoint{ip, 0}) : gorb_addr{};
}

gorb_str to_c(const std::string& text) {
    return {text.data(), text.size()};
}

// "pulse-http": the kind's word and the plugin's name.
std::string label_of(const Plugin& plugin) {
    std::string kind = plugin.kind;
    if (kind.starts_with("gorb.")) kind.erase(0, 5);
    return kind.substr(0, kind.find('/')) + "-" + plugin.name;
}

}  // namespace

class PulseInstance::Probe {
  public:
    std::atomic<uint64_t> open{0};  // the run that may still be answered, taken by whoever answers or ends it
    // How many runs there have been, over all probes that had this place.
    uint64_t runs : 40 = 0;
    uint64_t waiting : 1 = 0;      // the caller waits for the answer of the newest run; the loop's
    uint64_t again : 1 = 0;        // a recheck was asked for while that answer is on its way; the loop's
    void* plugin_probe = nullptr;  // nullptr: the place is free
    uint32_t index = 0;
    Tag tag = 0;

    Run newest() const { return Run{runs} << index_bits | index; }
    Run wanted() const { return waiting ? newest() : 0; }
    uint32_t owner() const { return index + 1; }  // of jobs, for the host
};

struct PulseInstance::Impl final : Answers {
    Impl(const Plugin& p, std::shared_ptr<const Config> o, io::Loop& l, io::Workers& workers, Metrics& m,
         OnReport report, OnRecheck recheck_asked)
        : plugin(p),
          ops(*static_cast<const gorb_pulse_ops*>(p.entry->ops)),
          options(std::move(o)),
          loop(l),
          metrics(m),
          on_report(std::move(report)),
          on_recheck(std::move(recheck_asked)),
          label(label_of(p)),
          host(Host::make(label, p.name, l, workers, m, *this)),
          late(m.counter(p.name, "late_reports_total", "Reports of runs that were over already")),
          has_expire(GORB_HAS(gorb_pulse_ops, &ops, expire) && ops.expire) {}

    // Reports while one of our own calls is on the stack wait until it has returned.
    class Inside {
      public:
        explicit Inside(Impl& impl) : impl_(impl) {
            GORB_CHECK(!impl.delivering);  // on_report must not call back, see the header
            ++impl.inside;
        }
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;
        ~Inside() { --impl_.inside; }

      private:
        Impl& impl_;
    };
    struct Answer {
        Run run;
        Report report;
    };

    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    base::Result<Probe*> place();
    Probe* probe_of(Run run) const;
    bool take(Run run);
    void read(const gorb_result& result, Report& report);
    void hand_on(Run run, const Report& report);
    void queue(Run run, Report report);

    int32_t report(gorb_run run, const gorb_result& result) override;
    int32_t report_elsewhere(gorb_run run, const gorb_result& result) override;
    int32_t recheck(gorb_run run) override;
    void deliver() override;

    const Plugin& plugin;
    const gorb_pulse_ops& ops;
    std::shared_ptr<const Config> options;
    io::Loop& loop;
    Metrics& metrics;
    OnReport on_report;
    OnRecheck on_recheck;
    std::string label;
    Host& host;
    uint64_t late;
    void* self = nullptr;
    bool has_expire = false;
    Run expiring = 0;               // of which a report is an answer within the call
    std::optional<Report> expired;  // that answer

    unsigned inside = 0;
    bool delivering = false;
    Report scratch;               // keeps its memory from one report to the next
    std::vector<Answer> answers;  // given during our own calls
    std::vector<Answer> given;    // being handed on; a member so that its memory stays
    io::TimerId flush = 0;

    // Grows on the loop under the host's lock, read there without and elsewhere with it.
    std::vector<std::unique_ptr<Probe[]>> chunks;  // by their number; null: another instance's
    Probe* newest_chunk = nullptr;
    uint32_t places = 0;  // of its own that were ever used
    std::vector<Probe*> free_places;
    std::vector<Answer> elsewhere;  // under the host's lock
};

// Whoever gets its places goes on with their runs.
PulseInstance::Impl::~Impl() {
    for (uint32_t number = 0; number < chunks.size(); ++number) {
        if (!chunks[number]) continue;
        uint64_t runs = 0;
        for (uint32_t i = 0; i < chunk_size; ++i) runs = std::max<uint64_t>(runs, chunks[number][i].runs);
        place_numbers().give_back({number, runs});
    }
}

base::Result<PulseInstance::Probe*> PulseInstance::Impl::place() {
    if (!free_places.empty()) {
        Probe* probe = free_places.back();
        free_places.pop_back();
        return probe;
    }
    if (places % chunk_size == 0) {
        const auto chunk = place_numbers().take();
        if (!chunk) return base::fail(Errc::unavailable, "all pulses together have too many targets");
        auto probes = std::make_unique<Probe[]>(chunk_size);
        for (uint32_t i = 0; i < chunk_size; ++i) {
            probes[i].index = chunk->number * chunk_size + i;
            probes[i].runs = chunk->runs & runs_mask;
        }
        newest_chunk = probes.get();
        std::lock_guard lock(host.mutex());
        if (chunk->number >= chunks.size()) chunks.resize(chunk->number + 1);
        chunks[chunk->number] = std::move(probes);
    }
    return &newest_chunk[places++ % chunk_size];
}

PulseInstance::Probe* PulseInstance::Impl::probe_of(Run run) const {
    const uint32_t index = static_cast<uint32_t>(run) & index_mask;
    if (run == 0 || index / chunk_size >= chunks.size()) return nullptr;
    const auto& chunk = chunks[index / chunk_size];
    return chunk ? &chunk[index % chunk_size] : nullptr;
}

// Takes the right to answer a run; false: it is over.
bool PulseInstance::Impl::take(Run run) {
    Probe* probe = probe_of(run);
    Run expected = run;
    if (probe && probe->open.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) return true;
    metrics.add(late, 1);
    return false;
}

void PulseInstance::Impl::read(const gorb_result& result, Report& report) {
    report.verdict = static_cast<Verdict>(result.verdict);
    if (result.verdict > GORB_FAIL) {
        host.odd(Host::Oddity::verdict, "report");
        report.verdict = Verdict::unknown;
    }
    report.share = result.share;
    if (result.share > 100) {
        host.odd(Host::Oddity::share, "report");
        report.share = 100;
    }
    report.code = result.code;
    report.latency_ns = result.latency_ns;
    if (result.verdict > GORB_FAIL) {  // what stands there as its reason is one for something else
        report.detail =
            label + " reported verdict " + std::to_string(result.verdict) + ", which does not exist";
        report.warning.clear();
        return;
    }
    // Most say the same as the check before; what was cleaned once is clean.
    if (view(result.detail) != report.detail) clean_text(view(result.detail), detail_limit, report.detail);
    if (GORB_HAS(gorb_result, &result, warning)) {
        clean_text(view(result.warning), detail_limit, report.warning);
    } else {
        report.warning.clear();
    }
}

void PulseInstance::Impl::hand_on(Run run, const Report& report) {
    Probe* probe = probe_of(run);
    if (!probe || probe->wanted() != run) {  // ended between the answer and now
        metrics.add(late, 1);
        return;
    }
    probe->waiting = 0;
    delivering = true;
    on_report(probe->tag, report);
    delivering = false;
    if (!probe->again) return;
    probe->again = 0;
    if (on_recheck) on_recheck(probe->tag);
}

void PulseInstance::Impl::queue(Run run, Report report) {
    answers.push_back({run, std::move(report)});
    if (flush != 0) return;
    flush = loop.at(0, [this] {
        flush = 0;
        given.clear();
        given.swap(answers);
        for (const Answer& answer : given) hand_on(answer.run, answer.report);
    });
}

int32_t PulseInstance::Impl::report(gorb_run run, const gorb_result& result) {
    if (!take(run)) return -ESTALE;
    if (run == expiring) {
        read(result, expired.emplace());
    } else if (inside > 0 || delivering) {
        Report report;
        read(result, report);
        queue(run, std::move(report));
    } else {
        read(result, scratch);
        hand_on(run, scratch);
    }
    return 0;
}

int32_t PulseInstance::Impl::report_elsewhere(gorb_run run, const gorb_result& result) {
    if (!take(run)) return -ESTALE;
    Answer answer{run, {}};
    read(result, answer.report);
    elsewhere.push_back(std::move(answer));
    host.wake();
    return 0;
}

int32_t PulseInstance::Impl::recheck(gorb_run run) {
    Probe* probe = probe_of(run);
    if (!probe || !probe->plugin_probe || probe->newest() != run) return -ESTALE;
    if (!probe->waiting) {
        if (on_recheck) on_recheck(probe->tag);
    } else if (probe->open.load(std::memory_order_acquire) == 0) {
        probe->again = 1;  // What is on its way was found out before that.
    }
    return 0;
}

void PulseInstance::Impl::deliver() {
    std::vector<Answer> came;
    {
        std::lock_guard lock(host.mutex());
        came.swap(elsewhere);
    }
    for (const Answer& answer : came) hand_on(answer.run, answer.report);
}

PulseInstance::PulseInstance(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

base::Result<std::unique_ptr<PulseInstance>> PulseInstance::create(const Plugin& plugin,
                                                                   std::shared_ptr<const Config> options,
                                                                   io::Loop& loop, io::Workers& workers,
                                                                   Metrics& metrics, OnReport on_report,
                                                                   OnRecheck on_recheck) {
    GORB_CHECK(plugin.kind == GORB_KIND_PULSE && plugin.entry && options);
    auto impl = std::make_unique<Impl>(plugin, std::move(options), loop, workers, metrics,
                                       std::move(on_report), std::move(on_recheck));
    gorb_error error{};
    const Impl::Inside inside(*impl);
    const bool returned = impl->host.call(
        Doing::create, [&] { impl->self = impl->ops.create(&impl->host, impl->options->c(), &error); });
    if (returned && impl->self) return std::unique_ptr<PulseInstance>(new PulseInstance(std::move(impl)));
    const std::string why =
        returned ? words_of(error, "create() gave no reason") : impl->host.last_exception();
    impl->host.finish_jobs();
    impl->host.retire_unused();
    return base::fail(Errc::unavailable, impl->label + " can not be used: " + why);
}

PulseInstance::~PulseInstance() {
    Impl& impl = *impl_;
    for (const auto& chunk : impl.chunks) {
        for (uint32_t i = 0; chunk && i < chunk_size; ++i) {
            if (chunk[i].plugin_probe) remove(&chunk[i]);
        }
    }
    const Impl::Inside inside(impl);
    impl.host.finish_jobs();
    impl.host.call(Doing::destroy, [&] { impl.ops.destroy(impl.self); });
    impl.host.retire();
    impl.loop.cancel(impl.flush);
}

base::Result<PulseInstance::Probe*> PulseInstance::add(const ProbeTarget& target, Tag tag) {
    Impl& impl = *impl_;
    auto args = target.args;
    if (!args) {
        auto defaults = Config::make(impl.plugin.args, {});
        if (!defaults) return base::fail(defaults.error());
        args = std::move(*defaults);
    }
    auto place = impl.place();
    if (!place) return place;
    const Impl::Inside inside(impl);
    const gorb_target raw = {
        sizeof(gorb_target), target.fwmark, to_c(target.address), to_c(target.service),  to_c(target.backend),
        gorb_str{"", 0},     args->c(),     to_c(target.source),  to_c(target.interface)};
    gorb_error error{};
    const bool returned =
        impl.host.call(Doing::add, [&] { (*place)->plugin_probe = impl.ops.add(impl.self, &raw, &error); });
    if (returned && (*place)->plugin_probe) {
        (*place)->tag = tag;
        return *place;
    }
    const std::string why = returned ? words_of(error, "add() gave no reason") : impl.host.last_exception();
    (*place)->plugin_probe = nullptr;
    impl.free_places.push_back(*place);
    return base::fail(Errc::unavailable, impl.label + " does not take " + target.address.text() + ": " + why);
}

void PulseInstance::remove(Probe* probe) {
    Impl& impl = *impl_;
    const Impl::Inside inside(impl);
    probe->waiting = 0;
    probe->open.store(0, std::memory_order_release);
    impl.host.call(Doing::remove, [&] { impl.ops.remove(probe->plugin_probe); });
    impl.host.forget_jobs_of(probe->owner());
    probe->plugin_probe = nullptr;
    impl.free_places.push_back(probe);
}

PulseInstance::Run PulseInstance::start(Probe* probe, uint64_t deadline) {
    Impl& impl = *impl_;
    if (probe->waiting) cancel(probe);
    const Impl::Inside inside(impl);
    ++probe->runs;
    const Run run = probe->newest();
    probe->waiting = 1;
    probe->again = 0;
    probe->open.store(run, std::memory_order_release);
    impl.host.set_job_owner(probe->owner());
    impl.host.set_guarded(impl.has_expire ? deadline : 0);
    const bool returned =
        impl.host.call(Doing::start, [&] { impl.ops.start(probe->plugin_probe, run, deadline); });
    impl.host.set_guarded(0);
    impl.host.set_job_owner(0);
    if (!returned && impl.take(run)) {
        Report report;
        report.detail = "the check could not be started: " + impl.host.last_exception();
        report.detail = clean_text(report.detail, detail_limit);
        impl.queue(run, std::move(report));
    }
    return run;
}

bool PulseInstance::cancel(Probe* probe, Run run) {
    return run != 0 && probe->wanted() == run && cancel(probe);
}

bool PulseInstance::cancel(Probe* probe) {
    Impl& impl = *impl_;
    if (!probe->waiting) return false;  // answered already
    const Impl::Inside inside(impl);
    const Run run = probe->newest();
    probe->waiting = 0;
    // An answer that is on its way is dropped by hand_on(); the plugin is through with the run then.
    if (probe->open.exchange(0, std::memory_order_acq_rel) != run) return false;
    const bool not_begun = impl.host.job_waits(probe->owner());
    impl.host.call(Doing::cancel, [&] { impl.ops.cancel(probe->plugin_probe, run); });
    return not_begun;
}

PulseInstance::Expired PulseInstance::expire(Probe* probe) {
    Impl& impl = *impl_;
    // What is not open any more has its answer on the way: too late.
    if (!impl.has_expire || !probe->waiting || probe->open.load(std::memory_order_acquire) == 0) {
        return {cancel(probe), std::nullopt};
    }
    const Impl::Inside inside(impl);
    const Run run = probe->newest();
    const bool not_begun = impl.host.job_waits(probe->owner());
    impl.expiring = run;
    impl.host.call(Doing::cancel, [&] { impl.ops.expire(probe->plugin_probe, run); });
    impl.expiring = 0;
    probe->waiting = false;
    probe->open.store(0, std::memory_order_release);
    return {not_begun, std::exchange(impl.expired, std::nullopt)};
}

base::Status PulseInstance::push(Probe* probe, const PushReport& push) {
    Impl& impl = *impl_;
    if (!GORB_HAS(gorb_pulse_ops, &impl.ops, push) || !impl.ops.push) {
        return base::fail(Errc::unsupported,
                          "the pulse \"" + impl.plugin.name +
                              "\" finds out by itself and takes no reports; the pulse \"ttl\" does");
    }
    const Impl::Inside inside(impl);
    // No more of it than is shown: a plugin may keep it for each of its targets.
    const std::string detail = clean_text(push.detail, detail_limit);
    const gorb_push raw = {sizeof(gorb_push), static_cast<uint32_t>(push.verdict), push.share, push.code,
                           to_c(detail)};
    gorb_error error{};
    int32_t answer = 0;
    if (!impl.host.call(Doing::push, [&] { answer = impl.ops.push(probe->plugin_probe, &raw, &error); })) {
        return base::fail(Errc::unavailable,
                          impl.label + " let an exception out: " + impl.host.last_exception());
    }
    if (answer == 0) return {};
    return base::fail(answer == -EINVAL ? Errc::invalid : Errc::unavailable,
                      words_of(error, impl.label + " did not take the report and gave no reason"), -answer);
}

const Plugin& PulseInstance::plugin() const {
    return impl_->plugin;
}

}  // namespace gorb::plugin
