// The two servers that are compared, each for a process of its own.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace gorb::bench {

// Both serve until `stop` returns, and say through `ready` on which port of 127.0.0.1.
using Ready = std::function<void(uint16_t port)>;
using Stop = std::function<void()>;

// gorb's server and API over a table in memory: service "one" with the backend "b", service "many" with
// `many` backends. `store`: a folder for the desired state, "" to keep it in memory only.
void serve_gorb(int many, const std::string& store, const Ready& ready, const Stop& stop);

// Poco's HTTPServer with its default parameters and a thread for each connection, its handler written as
// Poco's samples are, with Poco::JSON: GET and PATCH of /service/one/b for an object equal to `backend`, and
// GET of a list of `many` of them.
void serve_poco(const std::string& backend, int many, int threads, const Ready& ready, const Stop& stop);

}  // namespace gorb::bench
