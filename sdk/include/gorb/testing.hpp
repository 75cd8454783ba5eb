// gorb/testing.hpp: unit tests of a plugin without gorbd, with any test framework. C++17, the standard
// library and POSIX (Linux: epoll) only.
//
//   gorb::testing::FakeHost host;
//   gorb::testing::PulseRunner pulse(host, gorb::sdk::Pulse<Mine>::table);
//   auto probe = pulse.add(gorb::testing::address("127.0.0.1", port), {{"path", "/health"}});
//   auto report = pulse.run(probe);                 // turns the loop until the plugin has answered
//   assert(report && report->verdict == GORB_PASS);
//   assert(pulse.destroy().empty());                // nothing is left open
//   assert(host.violations().empty());
//
// Time stands still until host.loop().advance(...): a deadline is tested without waiting for it.
#ifndef GORB_TESTING_HPP
#define GORB_TESTING_HPP
#include <gorb/testing/config.hpp>
#include <gorb/testing/host.hpp>
#include <gorb/testing/loop.hpp>
#include <gorb/testing/net.hpp>
#include <gorb/testing/pulse.hpp>
#endif  // GORB_TESTING_HPP
