// gorbd: reads the command line, starts the daemon, waits for a signal.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <vector>

#include "app/arguments.h"
#include "app/daemon.h"
#include "app/declared.h"
#include "app/end_of_start.h"
#include "app/import.h"
#include "app/installation.h"
#include "app/notify.h"
#include "app/plugin_options.h"
#include "app/settings.h"
#include "app/spare_memory.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/log.h"
#include "io/socket.h"
#include "plugin/registry.h"
#include "plugin/text.h"

namespace {

using namespace gorb;

constexpr int exit_failure = 1;  // the daemon could not start
constexpr int exit_usage = 2;    // command line or configuration

int complain(const base::Error& error, int status) {
    const std::string priority(base::journal_prefix(base::LogLevel::error));
    std::fprintf(stderr, "%sgorbd: %s\n", priority.c_str(), error.sentence.c_str());
    // The sentence has the first fault.
    for (size_t i = 1; i < error.faults.size(); ++i) {
        const base::Fault& fault = error.faults[i];
        std::fprintf(stderr, "%s    %s %s\n", priority.c_str(), fault.pointer.c_str(), fault.what.c_str());
    }
    return status;
}

base::Result<app::Settings> settings_of(const app::Arguments& arguments) {
    app::Settings settings;
    const auto files = arguments.config ? std::vector{*arguments.config} : app::usual_configs();
    if (!files.empty()) {
        if (auto read = app::read_files(settings, files.front(), !arguments.config); !read)
            return base::fail(read.error());
        settings.config = files.front();
        if (files.size() > 1) settings.unread = files.back();
    }
    for (const auto& [key, text] : arguments.options) {
        if (auto set = app::set_option(settings, key, text); !set) return base::fail(set.error());
        settings.places.erase(key);
    }
    settings.force = arguments.force;
    return settings;
}

void list_options(const std::vector<plugin::OptionSpec>& options) {
    for (const plugin::OptionSpec& option : options) {
        std::printf(
            "    %-12s %-9s %s%s\n", option.name.c_str(), option.type_text().c_str(), option.help.c_str(),
            option.fallback ? (" (default " + plugin::clean_text(*option.fallback, 256) + ")").c_str() : "");
    }
}

void list_refused(const plugin::Registry& registry) {
    for (const plugin::Refused& refused : registry.refused()) {
        std::fprintf(stderr, "refused: %s: %s\n", refused.file.c_str(), refused.why.c_str());
    }
}

int list_plugins(const app::Settings& settings) {
    plugin::Registry registry;
    registry.load(app::plugin_directories(settings));
    for (const plugin::Plugin* found : registry.plugins()) {
        std::printf("%-16s %-10s %-8s %s\n    %s\n", found->kind.c_str(), found->name.c_str(),
                    found->version.c_str(), found->file.c_str(), found->summary.c_str());
        list_options(found->args);
        if (!found->options.empty())
            std::printf("  [plugin.%s] of the configuration:\n", found->name.c_str());
        list_options(found->options);
    }
    list_refused(registry);
    return registry.refused().empty() ? 0 : exit_failure;
}

// The declarative files with the pulses of their backends.
base::Status check_declared(const app::Settings& settings, const plugin::Registry& registry) {
    if (settings.declared.empty()) return {};
    const auto declared = app::read_declared(settings.declared, app::document_defaults(settings));
    if (!declared) return base::fail(declared.error());
    const auto pulses = app::check_pulses(declared->config, registry);
    if (!pulses) return base::fail(app::with_files(pulses.error(), declared->files));
    if (declared->documents == 0) {
        std::printf("there is no *.json in %s: what came of earlier ones would stay\n",
                    settings.declared.c_str());
    }
    return {};
}

int check_config(const app::Settings& settings) {
    base::set_log_level(base::LogLevel::error);  // what plugins say of themselves belongs to a start
    if (auto found = app::check_directories(settings); !found) return complain(found.error(), exit_usage);
    plugin::Registry registry;
    registry.load(app::plugin_directories(settings));
    list_refused(registry);  // a start goes on without them
    const auto options = app::pulse_options(registry, settings);
    if (!options) return complain(options.error(), exit_usage);
    for (const std::string& warning : app::option_warnings(registry, settings))
        std::fprintf(stderr, "warning: %s\n", warning.c_str());
    if (auto taken = app::try_options(registry, settings, *options); !taken)
        return complain(taken.error(), exit_usage);
    if (auto declared = check_declared(settings, registry); !declared)
        return complain(declared.error(), exit_usage);
    // Which file that is depends on where the program stands.
    if (settings.config.empty()) {
        std::puts("there is no configuration file, and the rest of the configuration is good");
    } else {
        std::printf("the configuration in %s is good\n", settings.config.c_str());
    }
    if (!settings.unread.empty()) std::printf("%s is there too, and not read\n", settings.unread.c_str());
    return 0;
}

// A log whose descriptor was closed would be written into whatever is opened next.
void open_standard_descriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        // The lowest that is free, so this one.
        if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    }
}

int done(const base::Status& status) {
    return status ? 0 : complain(status.error(), exit_failure);
}

constexpr uint64_t housekeeping = 10'000'000'000;  // ns between two looks

// Blocked in every thread, so that only EndOfStart and wait_for_end() see them.
sigset_t block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error like a full disk
    return signals;
}

int wait_for_end(const sigset_t& signals, app::Daemon& daemon) {
    const uint64_t tells = app::watchdog_period();
    const uint64_t period = tells ? std::min(tells, housekeeping) : housekeeping;
    app::SpareMemory memory;
    for (;;) {
        const timespec wait{static_cast<time_t>(period / 1'000'000'000),
                            static_cast<long>(period % 1'000'000'000)};
        const int signal = sigtimedwait(&signals, nullptr, &wait);
        if (signal == SIGTERM || signal == SIGINT) return signal;
        if (signal == SIGHUP) daemon.reload();
        memory.look();
        if (tells == 0) continue;
        if (const std::string trouble = daemon.not_alive(); trouble.empty()) {
            app::notify_alive();
        } else {
            base::log_error("not telling the service manager that all is well", {{"reason", trouble}});
        }
    }
}

int run(const app::Settings& settings) {
    const sigset_t signals = block_signals();
    std::signal(SIGCHLD, SIG_DFL);  // inherited as ignored, it would hide how the programs of checks ended
    io::raise_descriptor_limit();
    base::set_log_level(settings.log_level);
    base::log_info("gorbd is starting",
                   {{"version", app::version()},
                    {"config", settings.config.empty() ? "none" : settings.config.string()}});
    if (!settings.unread.empty()) {
        base::log_warning(
            "there is another configuration, which is not read: to have it, start with --config",
            {{"read", settings.config.string()}, {"not_read", settings.unread.string()}});
    }
    auto daemon = [&] {
        const app::EndOfStart end_of_start;
        return app::Daemon::start(settings);
    }();
    if (!daemon) return complain(daemon.error(), exit_failure);
    app::notify_ready((*daemon)->status());
    const int signal = wait_for_end(signals, **daemon);
    base::log_info("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
    app::notify_stopping();
    daemon->reset();
    base::log_info("stopped");
    base::flush_log(app::log_patience);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    open_standard_descriptors();
    auto arguments = app::read_arguments({argv + 1, argv + argc});
    if (!arguments) return complain(arguments.error(), exit_usage);
    if (arguments->action == app::Action::help) {
        std::fputs(app::help_text().c_str(), stdout);
        return 0;
    }
    if (arguments->action == app::Action::version) {
        std::printf("gorbd %s\n", app::version().c_str());
        return 0;
    }
    auto settings = settings_of(*arguments);
    if (!settings) return complain(settings.error(), exit_usage);
    switch (arguments->action) {
        case app::Action::check_config:
            return check_config(*settings);
        case app::Action::list_plugins:
            return list_plugins(*settings);
        case app::Action::import:
            return done(app::import_file(*settings, arguments->file, arguments->force));
        case app::Action::backup:
            return done(app::backup_store(*settings, arguments->file));
        case app::Action::check_store:
            return done(app::check_store(*settings));
        case app::Action::restore:
            return done(app::restore_store(*settings, arguments->file));
        default:
            return run(*settings);
    }
}
