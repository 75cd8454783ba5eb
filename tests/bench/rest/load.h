// A load generator: clients with keep-alive connections, each of which asks again when it has its answer.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gorb::bench {

struct Load {
    uint16_t port = 0;                  // on 127.0.0.1
    int server = 0;                     // the serving process, whose CPU time is counted
    std::vector<std::string> requests;  // whole ones, sent in turn
    int connections = 1;
    double seconds = 1;  // measured, after a tenth of it to warm up; both last for one answer at least
};

struct Figures {
    uint64_t answers = 0, failures = 0;  // failures: another status than 200, or a connection that ended
    uint64_t bytes = 0;
    double seconds = 0;
    double cpu_us = 0;  // of the server for an answer, user and system
    double best_ms = 0, p50_ms = 0, p99_ms = 0;
};

// Runs in the calling thread.
Figures run(const Load& load);

// A whole request. `headers`: more of them, each with its line end.
std::string request(const std::string& method, const std::string& target, const std::string& body = "",
                    const std::string& headers = "");
// The body of the answer to GET `target`, "" when there is none.
std::string get(uint16_t port, const std::string& target);

}  // namespace gorb::bench
