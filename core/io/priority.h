// Which threads give way when there is less processor than they could use.
#pragma once

namespace gorb::io {

// [its own thread] From now on the calling thread has a tenth of another's share where the two want the same
// processor: its niceness is 10 more than the process's (setpriority(2), which takes no privilege in this
// direction). For threads whose work may be many times that of the checks, and bears to wait, or is short (a
// turn of the control for a few changes): a check that is late finds a dead server late. Nothing changes
// while there is a processor for each.
void give_way();

}  // namespace gorb::io
