#include "plugin/host.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <list>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/give_back.h"
#include "base/log.h"
#include "gorb/sdk/accepts.hpp"
#include "plugin/text.h"

namespace gorb::plugin {
namespace {

const base::SystemClock system_clock;

thread_local const Host* current = nullptr;

constexpr const char* doing_words[] = {"create",
                                       "destroy",
                                       "add",
                                       "remove",
                                       "start",
                                       "cancel",
                                       "push",
                                       "descriptor",
                                       "timer",
                                       "post",
                                       "connection",
                                       "done",
                                       "waits for its jobs"};
static_assert(std::size(doing_words) == static_cast<size_t>(Doing::count));

// "pulse-http: start". Kept for ever: a watchdog may read it at any time. One for each plugin and operation.
const char* activity(const std::string& label, const char* doing) {
    static std::mutex mutex;
    static auto* const all = new std::set<std::string>;
    std::lock_guard lock(mutex);
    return all->insert(label + ": " + doing).first->c_str();
}

std::string key_text(std::string_view key) {
    std::string clean(key.substr(0, 64));
    for (char& c : clean) {
        const bool good =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        if (!good) c = '_';
    }
    return clean.empty() ? "_" : clean;
}

// All that were made, which keeps them reachable, and those that may be taken again, by label and loop.
struct Kept {
    std::mutex mutex;
    std::vector<Host*> all;
    std::multimap<std::pair<std::string, std::string>, Host*> unused;
};
Kept& kept() {
    static auto* const hosts = new Kept;
    return *hosts;
}

base::LogLevel level_of(int32_t level) {
    switch (level) {
        case GORB_LOG_ERROR:
            return base::LogLevel::error;
        case GORB_LOG_WARN:
            return base::LogLevel::warning;
        case GORB_LOG_DEBUG:
            return base::LogLevel::debug;
        default:
            return base::LogLevel::info;
    }
}

}  // namespace

Host& Host::make(const std::string& label, const std::string& plugin, io::Loop& loop, io::Workers& workers,
                 Metrics& metrics, Answers& answers) {
    Kept& hosts = kept();
    std::lock_guard lock(hosts.mutex);
    Host* host = nullptr;
    if (auto unused = hosts.unused.extract({label, loop.name()})) {
        host = unused.mapped();
    } else {
        host = new Host(label, plugin, loop.name());
        hosts.all.push_back(host);
    }
    host->begin(loop, workers, metrics, answers);
    return *host;
}

Host::Host(const std::string& label, const std::string& plugin, const std::string& loop_name)
    : gorb_host{sizeof(gorb_host), GORB_ABI_MAJOR, GORB_ABI_MINOR, "gorb " GORB_VERSION,
                &service_of,       &now_of,        &wants_level,   &log_line},
      label_(label),
      plugin_(plugin),
      loop_name_(loop_name) {
    for (size_t i = 0; i < activities_.size(); ++i) activities_[i] = activity(label, doing_words[i]);
}

void Host::begin(io::Loop& loop, io::Workers& workers, Metrics& metrics, Answers& answers) {
    std::lock_guard lock(mutex_);
    loop_ = &loop;
    workers_ = &workers;
    answers_ = &answers;
    clock_ = &loop.clock();
    metrics_ = &metrics;
    accepting_ = true;
    drain_posted_ = false;  // the former loop may have ended with that
}

Host::Call::Call(Host& host, Doing doing)
    : loop_(*host.loop_), before_(current), activity_(host.loop_->activity()) {
    current = &host;
    loop_.set_activity(host.activities_[static_cast<size_t>(doing)]);
}

Host::Call::~Call() {
    current = before_;
    loop_.set_activity(activity_);
}

bool Host::on_loop() const {
    return current && loop_ && current->loop_ == loop_;
}

// Says whether a function of the loop's thread is called on another one.
bool Host::refuse_thread(const char* function) {
    if (on_loop()) return false;
    odd(Oddity::thread, function);
    return true;
}

// Is there room in this second for one more line that the plugin causes? Where there is not, says so once.
bool Host::may_write(base::LogLevel level) {
    base::LineLimit::Line line{};
    {
        std::lock_guard lock(lines_mutex_);
        line = lines_.next(now_of(this));
    }
    if (line == base::LineLimit::Line::last) {
        base::log(level, "more lines of this plugin are not written in this second",
                  std::array<base::LogField, 2>{{{"plugin", label_}, {"loop", loop_name_}}});
    }
    return line == base::LineLimit::Line::write;
}

void Host::threw(Doing doing, const char* what) {
    last_exception_ = clean_text(what, 256);
    if (!may_write(base::LogLevel::error)) return;
    base::log_error("a plugin let an exception out", {{"plugin", label_},
                                                      {"in", doing_words[static_cast<size_t>(doing)]},
                                                      {"exception", last_exception_}});
}

void Host::odd(Oddity oddity, const char* what) {
    static constexpr const char* words[] = {
        "a plugin reported a verdict that does not exist, taken as UNKNOWN",
        "a plugin reported a share above 100 per cent, taken as 100",
        "a plugin reported no proper gorb_result, taken as UNKNOWN",
        "a plugin called a function outside the loop's thread, refused",
        "a job of a plugin let an exception out"};
    const uint32_t bit = 1U << static_cast<unsigned>(oddity);
    if (odd_.fetch_or(bit, std::memory_order_relaxed) & bit) return;
    base::log_warning(words[static_cast<size_t>(oddity)], {{"plugin", label_}, {"what", what}});
}

void Host::wake() {
    if (drain_posted_ || !loop_) return;
    drain_posted_ = true;
    loop_->post([this] { drain(); });
}

void Host::drain() {
    std::vector<Posted> posted, done;
    {
        std::lock_guard lock(mutex_);
        drain_posted_ = false;
        if (!loop_) return;
        posted.swap(posted_);
        done.swap(jobs_done_);
    }
    run_posted(posted, Doing::post);
    run_posted(done, Doing::done);
    answers_->deliver();
}

void Host::run_posted(std::vector<Posted>& posted, Doing doing) {
    for (const Posted& one : posted) {
        job_owner_ = one.owner;
        call(doing, [&] { one.fn(one.arg); });
    }
    job_owner_ = 0;
}

void Host::retire() {
    for (size_t fd = 0; fd < watched_.size(); ++fd) {
        if (watched_[fd].fn) (void)loop_->watch(static_cast<int>(fd), 0, nullptr);
    }
    for (const Timer& timer : timers_) loop_->cancel(timer.id);
    drop_connections();
    std::lock_guard lock(mutex_);
    loop_ = nullptr;
    workers_ = nullptr;
    answers_ = nullptr;
    clock_ = &system_clock;
    metrics_ = nullptr;
    accepting_ = false;
    base::give_back(posted_);
    base::give_back(jobs_done_);
    newest_jobs_.clear();
    base::give_back(watched_);
    base::give_back(timers_);
    base::give_back(free_timers_);
    first_free_ = last_free_ = nullptr;
    base::give_back(connections_);
}

void Host::retire_unused() {
    retire();
    std::lock_guard lock(kept().mutex);
    kept().unused.emplace(std::pair(label_, loop_name_), this);
}

// ---- gorb_host

const void* Host::service_of(const gorb_host*, const char* id) {
    if (!id) return nullptr;
    const std::string_view name = id;
    if (name == GORB_SERVICE_LOOP) return &loop_table;
    if (name == GORB_SERVICE_NET) return &net_table;
    if (name == GORB_SERVICE_WORK) return &work_table;
    if (name == GORB_SERVICE_METRICS) return &metrics_table;
    if (name == GORB_KIND_PULSE) return &pulse_table;
    return nullptr;
}

uint64_t Host::now_of(const gorb_host* host) {
    return of(host).clock_.load(std::memory_order_relaxed)->now();
}

bool Host::wants_level(const gorb_host*, int32_t level) {
    return base::log_wants(level_of(level));
}

void Host::log_line(const gorb_host* host, int32_t level, gorb_str message, const gorb_field* fields,
                    size_t count) {
    const base::LogLevel ours = level_of(level);
    if (!base::log_wants(ours)) return;
    Host& self = of(host);
    if (!self.may_write(ours)) return;
    std::vector<base::LogField> all = {{"plugin", self.label_}, {"loop", self.loop_name_}};
    std::list<std::string> keys;  // LogField only looks at its key
    for (size_t i = 0; fields && i < std::min<size_t>(count, 32); ++i) {
        const std::string& key = keys.emplace_back(key_text(view(fields[i].key)));
        all.push_back({key, clean_text(view(fields[i].value), 1024)});
    }
    base::log(ours, clean_text(view(message), 1024), all);
}

// ---- gorb.metrics/1

const gorb_metrics Host::metrics_table = {sizeof(gorb_metrics), &metrics_counter, &metrics_gauge,
                                          &metrics_add, &metrics_set};

uint64_t Host::metrics_counter(const gorb_host* host, const char* name, const char* help) {
    Metrics* metrics = of(host).metrics_.load(std::memory_order_relaxed);
    return metrics && name ? metrics->counter(of(host).plugin_, text_of(name), text_of(help)) : 0;
}

uint64_t Host::metrics_gauge(const gorb_host* host, const char* name, const char* help) {
    Metrics* metrics = of(host).metrics_.load(std::memory_order_relaxed);
    return metrics && name ? metrics->gauge(of(host).plugin_, text_of(name), text_of(help)) : 0;
}

void Host::metrics_add(const gorb_host* host, uint64_t metric, double by) {
    if (Metrics* metrics = of(host).metrics_.load(std::memory_order_relaxed)) metrics->add(metric, by);
}

void Host::metrics_set(const gorb_host* host, uint64_t metric, double to) {
    if (Metrics* metrics = of(host).metrics_.load(std::memory_order_relaxed)) metrics->set(metric, to);
}

// ---- gorb.pulse/1

const gorb_pulse_host Host::pulse_table = {sizeof(gorb_pulse_host), &pulse_report, &pulse_recheck};

int32_t Host::pulse_report(const gorb_host* host, gorb_run run, const gorb_result* result) {
    Host& self = of(host);
    if (result && result->struct_size >= sdk::accepts::result) return self.answer(run, *result);
    self.odd(Oddity::result, "report");
    // The run is answered all the same: the deadline would blame the target for it.
    const std::string why = self.label_ + " reported a gorb_result that is too small: is struct_size set?";
    const gorb_result instead = {sizeof instead, GORB_UNKNOWN, 100, EINVAL, 0, sdk::str(why), {}};
    (void)self.answer(run, instead);
    return -EINVAL;
}

int32_t Host::answer(gorb_run run, const gorb_result& result) {
    if (on_loop()) return answers_->report(run, result);
    std::lock_guard lock(mutex_);
    return answers_ ? answers_->report_elsewhere(run, result) : -ESTALE;
}

int32_t Host::pulse_recheck(const gorb_host* host, gorb_run run) {
    Host& self = of(host);
    return self.refuse_thread("gorb.pulse/1 recheck") ? -EPERM : self.answers_->recheck(run);
}

}  // namespace gorb::plugin
