#include "app/reloader.h"

#include <pthread.h>

#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include "app/declared.h"
#include "base/log.h"

namespace gorb::app {
namespace {

void tell(control::Control& control, const base::Status& outcome) {
    control.declared(outcome);
    if (outcome) return;
    const base::Error& error = outcome.error();
    base::log_error("the declarative files are not applied, all stays as it is", {{"error", error.sentence}});
    for (const base::Fault& fault : error.faults)
        base::log_error("declarative files", {{"field", fault.pointer}, {"problem", fault.what}});
}

}  // namespace

void Reloader::read(bool force, const std::function<void()>& done) {
    auto declared = read_declared(settings_.declared, document_defaults(settings_));
    const std::lock_guard lock(mutex_);
    if (!control_) return;
    const auto taken = declared ? refuse_nothing(*declared, settings_.declared, *control_->snapshot())
                                : base::Status(base::fail(declared.error()));
    if (!taken) {
        tell(*control_, taken);
        done();
        return;
    }
    control_->submit(control::Declare{std::move(declared->config), force},
                     [control = control_, files = std::move(declared->files),
                      done](const base::Result<control::Outcome>& outcome) {
                         tell(*control,
                              outcome ? base::Status{} : base::fail(with_files(outcome.error(), files)));
                         if (outcome && !outcome->changed)
                             base::log_info("declarative files: nothing to change");
                         done();
                     });
}

void Reloader::apply(bool force) {
    const auto applied = std::make_shared<std::promise<void>>();
    read(force, [applied] { applied->set_value(); });
    applied->get_future().wait();
}

void Reloader::ask() {
    const std::lock_guard lock(mutex_);
    if (reading_) {
        asked_ = true;
        base::log_warning("the declarative files are still being read; they are read once more after that");
        return;
    }
    try {
        std::thread([self = shared_from_this()] {
            pthread_setname_np(pthread_self(), "declared");
            do {
                self->read(false, [] {});
            } while (self->again());
        }).detach();
        reading_ = true;
    } catch (const std::system_error& e) {
        base::log_error("the declarative files can not be read: there is no thread for it",
                        {{"error", e.what()}});
    }
}

bool Reloader::again() {
    const std::lock_guard lock(mutex_);
    reading_ = control_ && std::exchange(asked_, false);
    return reading_;
}

void Reloader::close() {
    const std::lock_guard lock(mutex_);
    control_ = nullptr;
}

}  // namespace gorb::app
