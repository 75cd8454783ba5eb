// Every rule that a service or backend must keep, as one named pure function each: nullopt when kept, else
// the Fault. Pointers are relative to the object. The kernel file or manual a rule follows stands beside it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/service.h"

namespace gorb::model {

using Violation = std::optional<base::Fault>;

// 1 to 128 characters of [A-Za-z0-9._:-]; also not "." or "..". The sentence, without a pointer, if it is
// not.
std::optional<std::string> name_violation(std::string_view name);

// ---- of a service alone

// not unspecified, multicast or broadcast
Violation vip_usable(const Service&);
// ip_vs_ctl.c: port 0 catches all ports, for persistent services only
Violation port_zero_needs_persistence(const Service&);
// IP_VS_SCHEDNAME_MAXLEN: [a-z0-9_]{1,15}
Violation scheduler_name(const Service&);
// ip_vs_ctl.c: "none" is no scheduler, and the service has none then
Violation scheduler_schedules(const Service&);
// sh-* with sh only, mh-* with mh only
Violation flags_fit_scheduler(const Service&);
// 1 s .. 30 days
Violation persistence_range(const Service&);
// 1..32, 1..128; other than the whole address only with persistence
Violation netmask_range(const Service&);
// the least step of a ramp, and its length: 1s .. 24h where there is one
Violation slow_start_range(const Service&);
// a quorum of N can not lose N or more to hysteresis
Violation hysteresis_below_quorum(const Service&);
std::vector<base::Fault> service_violations(const Service&);
// The same, and what only services of before may be that are in the store: it is read with them in it.
std::vector<base::Fault> new_service_violations(const Service&);

// ---- of a backend alone

// ip_vs_ctl.c: unicast, and no IPv6 link-local
Violation backend_address_usable(const Backend&);
Violation weight_range(const Backend&);
// 0 .. 2147483647
Violation thresholds_range(const Backend&);
// ip_vs_ctl.c: lower <= upper
Violation thresholds_ordered(const Backend&);
// The longest that a drain may wait, by "drain-timeout" or by DELETE ?drain=
inline constexpr std::chrono::hours max_drain{30 * 24};
// 0 .. max_drain
Violation drain_timeout_range(const Backend&);
// The pulses' own rules, one after the other; pointers begin with /pulse, or /pulses/N where there are
// several.
std::vector<base::Fault> pulse_violations(const PulseList&);
std::vector<base::Fault> backend_violations(const Backend&);

// ---- of one pulse; pointers are relative to it

// [a-z0-9._-]{1,64}
Violation pulse_type_name(const PulseSpec&);
// 10ms .. 24h
Violation interval_range(const PulseSpec&);
// 0 (as interval), or 10ms .. 24h
Violation fast_interval_range(const PulseSpec&);
Violation down_interval_range(const PulseSpec&);
// 1ms .. 10m
Violation timeout_range(const PulseSpec&);
// 1 .. 1000
Violation rise_fall_range(const PulseSpec&);
// factor 1 .. 10, max 10ms .. 24h
Violation backoff_range(const PulseSpec&);
// of 0 or 1 .. 100, failures 1 .. of
Violation window_range(const PulseSpec&);
// hold 0 .. 24h, max hold .. 24h, forget 1s .. 24h
Violation damping_range(const PulseSpec&);
// addresses of one host; IPv6 link-local with an interface only
Violation pulse_address_usable(const PulseSpec&);
Violation source_usable(const PulseSpec&);
// IFNAMSIZ of <linux/if.h>: 1..15 characters, no "/" and no blanks
Violation interface_name(const PulseSpec&);

// ---- of a backend within its service

// ip_vs_ctl.c: the other family only with tunnel
Violation families_match(const Service&, const Backend&);
// ipvsadm(8): DR and tunnel keep the service's port
Violation port_not_remapped(const Service&, const Backend&);
// port 0 within services of port 0 only
Violation backend_port_named(const Service&, const Backend&);
std::vector<base::Fault> backend_in_service_violations(const Service&, const Backend&);

}  // namespace gorb::model
