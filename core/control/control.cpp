#include "control/control.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/inbox.h"
#include "control/prepare.h"
#include "control/pulse_pool.h"
#include "control/slots.h"
#include "control/touched.h"
#include "control/vip_users.h"
#include "control/weights.h"
#include "model/scheduler.h"
#include "reconcile/applier.h"
#include "reconcile/records.h"
#include "store/store.h"

namespace gorb::control {

using base::Errc;
using base::Result;
using ipvs::Op;

namespace {

// Names of schedulers that kernels are known to have (Documentation of ip_vs and net/netfilter/ipvs/Kconfig);
// which of them this kernel has, it is asked.
constexpr std::array<std::string_view, 14> known_schedulers = {
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"};
constexpr size_t batch_limit = 512;

// One line about a change, with the fields that it has.
void log_change(base::LogLevel level, std::string_view message, const Prepared& about,
                const std::string& error = {}) {
    std::vector<base::LogField> fields{{"service", about.service}};
    if (!about.backend.empty()) fields.push_back({"backend", about.backend});
    if (!error.empty()) fields.push_back({"error", error});
    base::log(level, message, fields);
}

std::string run_tag() {
    constexpr char digits[] = "0123456789abcdef";
    std::random_device random;
    std::string tag;
    for (int i = 0; i < 8; ++i) tag += digits[random() % 16];
    return tag;
}

}  // namespace

struct Control::Impl {
    Impl(std::unique_ptr<ipvs::Driver> d, std::unique_ptr<ipvs::VipTable> v, const plugin::Registry& r,
         Options o)
        : driver(std::move(d)),
          applier(*driver),
          vips(std::move(v)),
          pulses(r),
          options(o),
          run(run_tag()),
          drains(clock),
          weights(slots, {&applier, &clock, [this](const model::Service& s) { return record_of(s); },
                          [this](model::BackendId id) { return engine ? engine->read(id) : std::nullopt; }}) {
        if (auto found = driver->info()) info = *found;
    }

    void loop();
    void apply_changes(std::vector<Submitted>& changes);
    size_t apply_batch(std::span<Submitted> changes);
    void settle_weights();
    void look_at_drains();
    uint64_t next_wake() const;
    void restore_destinations(const std::string& service);
    Outcome finish(Prepared& prepared, const reconcile::Applied& applied);
    Outcome outcome(const Prepared& prepared, bool changed) const;
    void answer_schedulers(const std::function<void(Result<std::vector<std::string>>)>& done);
    ipvs::ServiceRecord record_of(const model::Service& service) const;

    std::unique_ptr<ipvs::Driver> driver;
    reconcile::Applier applier;
    VipUsers vips;
    PulsePool pulses;
    const Options options;
    const std::string run;
    ipvs::Info info;
    health::Engine* engine = nullptr;
    base::SystemClock clock;

    store::Store store;
    Slots slots;
    Drains drains;
    Weights weights;
    Inbox inbox;
    std::vector<std::pair<Done, Result<Outcome>>> answers;  // told, in order, once the weights are settled
    std::unordered_map<std::string, ipvs::ServiceRecord> service_records;  // as the kernel has them
    std::optional<std::vector<std::string>> schedulers;
    model::BackendId last_id = 0;
    std::atomic<uint64_t> busy_since{0};
    std::thread thread;
};

void Control::Impl::loop() {
    for (;;) {
        busy_since = 0;
        Inbox::Content content = inbox.take(next_wake(), clock.now());
        busy_since = clock.now();
        for (const auto& question : content.questions) question();
        if (content.suspicion) weights.suspect(*content.suspicion, *store.snapshot());
        for (const auto& [id, change] : content.health) weights.health_changed(change);
        if (!content.changes.empty()) apply_changes(content.changes);
        settle_weights();
        // What is acknowledged is in the kernel, what it meant for other backends as well.
        for (auto& [done, result] : std::exchange(answers, {})) done(std::move(result));
        look_at_drains();
        if (content.closed) break;
    }
    if (options.release_on_exit) {
        if (auto released = applier.release(); !released) {
            base::log_error("not everything could be removed from the kernel",
                            {{"error", released.error().sentence}});
        } else {
            base::log_info("removed from the kernel what this daemon made");
        }
        vips.release_all();
    }
    busy_since = 0;
}

uint64_t Control::Impl::next_wake() const {
    const uint64_t weights_at = weights.next(), drains_at = drains.next();
    if (weights_at == 0 || drains_at == 0) return std::max(weights_at, drains_at);
    return std::min(weights_at, drains_at);
}

void Control::Impl::settle_weights() {
    for (const std::string& service : weights.settle(*store.snapshot())) restore_destinations(service);
}

// A drain that is over becomes a change like any other.
void Control::Impl::look_at_drains() {
    for (const Drains::Over& over : drains.look(*store.snapshot(), *driver)) {
        Change change;
        if (over.then == model::DrainThen::remove) {
            change = DeleteBackend{over.service, over.backend, {}};
        } else {
            change = PatchBackend{over.service, over.backend, R"({"admin": "maint"})", {}};
        }
        inbox.put(Submitted{std::move(change), [](const Result<Outcome>&) {}});
    }
}

ipvs::ServiceRecord Control::Impl::record_of(const model::Service& service) const {
    ipvs::ServiceRecord record = reconcile::service_record(service);
    auto it = service_records.find(service.name);
    return it == service_records.end() ? record : reconcile::keeping(std::move(record), it->second);
}

void Control::Impl::apply_changes(std::vector<Submitted>& changes) {
    std::span<Submitted> rest(changes);
    while (!rest.empty()) rest = rest.subspan(apply_batch(rest));
}

// Applies as many of the first changes together as do not touch each other, and says how many those were.
size_t Control::Impl::apply_batch(std::span<Submitted> changes) {
    const model::SnapshotPtr now = store.snapshot();
    const Present present{
        *now,
        [this](const model::PulseList& list) { return pulses.get(list); },
        [this](const model::Service& service, const Slot& slot) { return weights.decide(service, slot); },
        [this](uint64_t revision) { return run + "-" + std::to_string(revision); },
        [this](model::BackendId id) { return slots.find(id); },
        [this](const model::Service& service) { return record_of(service); },
        [this] { return ++last_id; },
    };

    // One for each change, in order; those that are to be applied have their transaction in as many.
    std::vector<Result<Prepared>> prepared;
    std::vector<reconcile::Transaction> transactions;
    Touched touched(*now);
    for (Submitted& submitted : changes.first(std::min(changes.size(), batch_limit))) {
        if (!touched.add(submitted.change)) break;
        prepared.push_back(prepare(submitted.change, present));
        if (!prepared.back() || !prepared.back()->changed) continue;
        if (const auto& vip = prepared.back()->vip_acquire) {
            if (auto added = vips.acquire(*vip); !added) {
                prepared.back() = base::fail(added.error());
                continue;
            }
        }
        transactions.push_back(std::move(prepared.back()->transaction));
    }

    const std::vector<Result<reconcile::Applied>> applied = applier.apply(transactions);
    std::set<std::string> incomplete;
    size_t next = 0;
    for (size_t i = 0; i < prepared.size(); ++i) {
        const Done& done = changes[i].done;
        if (!prepared[i]) {
            answers.emplace_back(done, base::fail(std::move(prepared[i].error())));
            continue;
        }
        Prepared& p = *prepared[i];
        if (!p.changed) {
            answers.emplace_back(done, outcome(p, false));
            continue;
        }
        const Result<reconcile::Applied>& result = applied[next++];
        if (result) {
            answers.emplace_back(done, finish(p, *result));
            if (result->service_was_missing) incomplete.insert(p.service);
            continue;
        }
        if (p.vip_acquire) vips.release(*p.vip_acquire);
        log_change(base::LogLevel::warning, "a change was refused", p, result.error().sentence);
        answers.emplace_back(done, base::fail(result.error()));
    }
    // Not before all is as it should be now.
    for (const std::string& service : incomplete) restore_destinations(service);
    return prepared.size();
}

// The kernel has it: the state follows, and the health engine.
Outcome Control::Impl::finish(Prepared& prepared, const reconcile::Applied& applied) {
    Outcome result;
    if (prepared.deletion) result = outcome(prepared, true);  // the object as it was
    model::Snapshot then = prepared.commit(*store.snapshot());
    // The slot first: who sees the backend in the state also sees its weight.
    std::optional<model::BackendId> put;
    if (prepared.slot) {
        Slot& slot = *prepared.slot;
        if (!applied.dests.empty()) slot.took(applied.dests.back());
        const bool asked =
            slot.member.state == health::State::unknown && slot.member.admin == model::Admin::ready;
        if (asked && slot.present) slot.member.before = slot.weight;
        slot.backend = *(*then.services.find(prepared.service))->backends.find(prepared.backend);
        slot.service = slots.name_of(prepared.service);
        put = slot.member.id;
        if (const Slot* old = slots.find(*put)) slot.counted = old->counted;
        slots.put(std::move(slot));
    }
    const model::SnapshotPtr next = store.commit(std::move(then));

    if (prepared.vip_release) vips.release(*prepared.vip_release);
    if (applied.service) service_records[prepared.service] = *applied.service;
    const bool service_gone = prepared.deletion && prepared.backend.empty();
    if (service_gone) {
        service_records.erase(prepared.service);
        weights.forget(prepared.service);
    } else if (put) {
        weights.mark(prepared.service, *put);
    } else if (prepared.backend.empty()) {
        weights.mark(prepared.service);
    }
    for (const model::BackendId id : prepared.forget) {
        weights.gone(*slots.find(id));
        slots.erase(id);
        drains.forget(id);
        if (engine) engine->remove(id);
    }
    if (service_gone) slots.forget_name(prepared.service);
    if (prepared.forget_check && engine) engine->remove(*prepared.forget_check);
    if (prepared.check && engine) engine->put(*prepared.check);
    if (!prepared.deletion) result = outcome(prepared, true);
    if (result.backend && !prepared.deletion) drains.follow(prepared.service, *result.backend);
    result.snapshot = next;
    log_change(base::LogLevel::info, prepared.log, prepared);
    return result;
}

Outcome Control::Impl::outcome(const Prepared& prepared, bool changed) const {
    Outcome result;
    result.snapshot = store.snapshot();
    result.changed = changed;
    if (const auto* service = result.snapshot->services.find(prepared.service)) {
        result.service = *service;
        if (const auto* backend = (*service)->backends.find(prepared.backend)) result.backend = *backend;
    }
    return result;
}

// Somebody removed a service of ours and it has just been put back: its other destinations go back too.
void Control::Impl::restore_destinations(const std::string& name) {
    const model::SnapshotPtr now = store.snapshot();
    const auto* service = now->services.find(name);
    if (!service) return;
    std::vector<model::BackendId> ids;
    std::vector<reconcile::Transaction> transactions;
    (*service)->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        const Slot& slot = *slots.find(backend->id);
        if (!slot.present) return;
        reconcile::Transaction transaction;
        transaction.make.push_back(Op{Op::Kind::add_dest, record_of((*service)->spec), slot.record()});
        transactions.push_back(std::move(transaction));
        ids.push_back(backend->id);
    });
    const auto applied = applier.apply(transactions);
    for (size_t i = 0; i < ids.size(); ++i) {
        if (applied[i]) continue;
        Slot& slot = *slots.find(ids[i]);
        Trouble& trouble = slot.trouble.change();
        trouble.not_applied = applied[i].error().sentence;
        trouble.retry_at = clock.now() + 1'000'000'000;
        slots.publish(slot);
    }
}

void Control::Impl::answer_schedulers(const std::function<void(Result<std::vector<std::string>>)>& done) {
    if (!schedulers) {
        auto probed = driver->probe_schedulers(known_schedulers);
        if (!probed) {
            done(base::fail(probed.error()));
            return;
        }
        schedulers = std::move(*probed);
    }
    done(*schedulers);
}

// ---- the public face

Control::Control(std::unique_ptr<ipvs::Driver> driver, std::unique_ptr<ipvs::VipTable> vips,
                 const plugin::Registry& registry, Options options)
    : impl_(std::make_unique<Impl>(std::move(driver), std::move(vips), registry, options)) {}

Control::~Control() {
    stop();
}

void Control::connect(health::Engine& engine) {
    impl_->engine = &engine;
}

void Control::start() {
    impl_->thread = std::thread([impl = impl_.get()] {
        pthread_setname_np(pthread_self(), "control");
        impl->loop();
    });
}

void Control::stop() {
    impl_->inbox.close();
    if (impl_->thread.joinable()) impl_->thread.join();
}

void Control::submit(Change change, const Done& done) {
    if (!impl_->inbox.put(Submitted{std::move(change), done})) {
        done(base::fail(Errc::unavailable, "gorbd is stopping and takes no more changes"));
    }
}

void Control::health_changed(std::span<const health::Changed> changes) {
    impl_->inbox.put(changes);
}

model::SnapshotPtr Control::snapshot() const {
    return impl_->store.snapshot();
}

std::string Control::etag(uint64_t revision) const {
    return impl_->run + "-" + std::to_string(revision);
}

void Control::suspected(const health::Suspicion& suspicion) {
    impl_->inbox.put(suspicion);
}

void Control::push(const std::string& service, const std::string& backend, const health::Push& push,
                   const std::function<void(base::Status)>& done) {
    const model::SnapshotPtr now = snapshot();
    const auto* entry = now->services.find(service);
    const auto* found = entry ? (*entry)->backends.find(backend) : nullptr;
    if (!found) {
        done(base::fail(Errc::not_found,
                        entry ? "service \"" + service + "\" has no backend \"" + backend + "\""
                              : "there is no service \"" + service + "\""));
    } else if ((*found)->spec.admin == model::Admin::maint) {
        done(base::fail(Errc::exists,
                        "the backend is in maintenance and not checked; PATCH {\"admin\": \"ready\"} "
                        "first"));
    } else if (!impl_->engine) {
        done(base::fail(Errc::unavailable, "nothing is checked here"));
    } else {
        impl_->engine->push((*found)->id, push, done);
    }
}

EffectiveWeight Control::weight_of(const model::Service& service, const model::BackendEntry& backend,
                                   const std::string& because) const {
    Slots::Published slot = impl_->slots.published(backend.id);
    EffectiveWeight weight;
    weight.configured = backend.spec.weight;
    weight.effective = slot.weight;
    weight.decision = slot.decision;
    weight.present = slot.present;
    weight.words = health::factor_words(service, slot.decision, because);
    weight.not_applied = std::move(slot.not_applied);
    const bool as_decided =
        slot.present == slot.decision.present && (!slot.present || slot.weight == slot.decision.effective);
    if (!as_decided) {
        weight.why = "the kernel did not take another weight";
    } else if (weight.effective != weight.configured || slot.decision.cause == health::Cause::panic ||
               slot.decision.cause == health::Cause::kept) {
        weight.why = health::words(service, slot.decision, because);
    }
    return weight;
}

PoolStatus Control::pool_of(const model::Service& service) const {
    PoolStatus status;
    if (const auto pool = impl_->weights.pool(service.name)) {
        status.assessment = pool->assessment;
        status.since_wall = pool->since_wall;
    }
    status.because = health::pool_words(service, status.assessment);
    status.warnings = health::pool_warnings(service, status.assessment);
    status.flags = model::flags_text(service.scheduler, model::effective_flags(service));
    status.on_down_remove = model::effective_on_down(service) == model::OnDown::remove;
    return status;
}

std::optional<DrainView> Control::drain_of(const model::BackendEntry& backend) const {
    return impl_->drains.view(backend.id);
}

health::Suspicion Control::suspicion() const {
    return impl_->engine ? impl_->engine->suspicion() : health::Suspicion{};
}

health::Counters Control::health_counters() const {
    return impl_->engine ? impl_->engine->counters() : health::Counters{};
}

std::optional<health::View> Control::health_of(const model::BackendEntry& backend) const {
    return impl_->engine ? impl_->engine->read(backend.id) : std::nullopt;
}

const ipvs::Info& Control::driver_info() const {
    return impl_->info;
}

void Control::schedulers(const std::function<void(Result<std::vector<std::string>>)>& done) {
    if (!impl_->inbox.put([impl = impl_.get(), done] { impl->answer_schedulers(done); })) {
        done(base::fail(Errc::unavailable, "gorbd is stopping"));
    }
}

uint64_t Control::busy_since() const {
    return impl_->busy_since;
}

}  // namespace gorb::control
