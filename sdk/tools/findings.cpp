#include "findings.h"

#include <cstdio>
#include <exception>

namespace gorb::check {

void Findings::check(const std::string& name, const std::function<void()>& body) {
    const std::string full = prefix_ + name;
    started_(full);
    faults_.clear();
    notes_.clear();
    try {
        body();
    } catch (const std::exception& e) {
        fault(e.what());
    }
    ++checks_;
    failed_ += faults_.empty() ? 0 : 1;
    std::printf("%s %s\n", faults_.empty() ? "ok  " : "FAIL", full.c_str());
    for (const std::string& words : faults_) std::printf("       %s\n", words.c_str());
    for (const std::string& words : notes_) std::printf("     note: %s\n", words.c_str());
    std::fflush(stdout);  // a plugin may take the process with it in the next check
}

}  // namespace gorb::check
