// The REST API: routes, resources and their JSON. openapi.json beside this file is the contract.
//
// Threads: the handler runs on the server's loop and never blocks: changes go to control and answer from
// there, long answers (many backends, the metrics page) are written by a worker of the API's own.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "control/control.h"
#include "plugin/metrics.h"
#include "plugin/registry.h"
#include "reconcile/table.h"
#include "rest/http.h"
#include "rest/route.h"

namespace gorb::rest {

// What the API shows and changes. Everything must outlive it.
struct Context {
    control::Control& control;
    const plugin::Registry& registry;
    plugin::Metrics& metrics;
    std::string version;
    // The kernel's table, read apart from the control's work. Called by one thread at a time.
    std::function<base::Result<reconcile::Table>()> read_kernel;
    // Address of the default interface (upstream's -i), asked per request; empty function: none configured.
    std::function<std::optional<base::Ip>()> default_address;
    // "" when ready, else a sentence why not. For /readyz and /healthz.
    std::function<std::string()> not_ready, not_healthy;
    // Origins (RFC 6454, 6.2) of the web pages that may change something.
    std::vector<std::string> web_origins = {};
    // How many loops of checks are blocked now; empty function: none ever is.
    std::function<size_t()> loops_blocked = {};
    // Has the end begun? What takes long is not begun any more then; empty function: with the API's own.
    std::function<bool()> ending = {};
};

// A handler for rest::Server. Never throws; a defect of ours answers 500 and is logged.
Handler make_api(Context context);

// Requests that have the whole state in their body: for Limits.
bool takes_large_body(std::string_view method, std::string_view path);

// Every route of the API.
std::vector<Route> api_routes();

}  // namespace gorb::rest
