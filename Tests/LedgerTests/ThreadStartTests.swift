import Dispatch
import Foundation
import Ledger
import Testing

@Suite(.timeLimit(.minutes(1))) struct ThreadStartTests {
  /// Tells when it is released which thread does so, if that is at work and not about to end.
  private final class Held: Sendable {
    private let tell: @Sendable (String?) -> Void
    init(_ tell: @escaping @Sendable (String?) -> Void) { self.tell = tell }
    deinit { tell(Thread.current.isExecuting ? Thread.current.name : nil) }
  }

  @Test func theThreadHasItsName() async {
    for _ in 0..<100 {
      let name = await withCheckedContinuation { continuation in
        Thread.start("a-name") { continuation.resume(returning: Thread.current.name) }
      }
      #expect(name == "a-name")
    }
  }

  /// In a thread's last moments it would be too late.
  @Test func whatABodyHoldsIsReleasedWhenItHasRun() async {
    for _ in 0..<100 {
      let mayEnd = DispatchSemaphore(value: 0)
      let name = await withCheckedContinuation { continuation in
        start(mayEnd) { continuation.resume(returning: $0) }
        mayEnd.signal()  // now the thread alone holds it
      }
      #expect(name == "holder")
    }
  }

  @inline(never)
  private func start(_ mayEnd: DispatchSemaphore, _ tell: @escaping @Sendable (String?) -> Void) {
    let held = Held(tell)
    Thread.start("holder") { withExtendedLifetime(held) { mayEnd.wait() } }
  }
}
