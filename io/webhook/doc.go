// Package webhook is a source of what others POST by HTTP: the run is the server.
//
// A request is answered with 200 when its elements have been accepted, all of them
// or none; with 429 and Retry-After when there is no room, so that senders hold back;
// with 503 and Retry-After when the run is stopping or its snapshot takes too long;
// with 4xx when it is to blame itself.
//
// What is guaranteed depends on when the answer is given:
//
//   - By default as soon as the elements are in the buffer. That is at most once:
//     what was answered with 200 is lost if the process dies or the run ends before
//     the elements were read and their effects are in a snapshot. A run that goes back
//     to a snapshot within its process loses what was read since then; what is in
//     the buffer stays there.
//   - With [AfterSnapshot] when a snapshot holds their effects. That is at least once
//     with a sender who repeats what was not answered with 200: what was answered is
//     never lost. Elements come twice if the answer did not reach the sender, or if the
//     run went back to a snapshot that came between two elements of one request.
//     The run has to take snapshots, and senders have to wait for one.
//
// While a run restarts its port is closed for a moment: senders have to try again.
package webhook
