import Accounts
import Dispatch
import Foundation
import Ledger
import Synchronization
import Testing

extension StoreConformance {
  static let concurrencyChecks = [
    StoreCheck("many callers at once leave no gap") { test in
      let carol = try await test.carol()
      let writer = LedgerWriter(store: test.store, decider: test.decider)
      let tasks = 32
      let rounds = 25
      let callers = [.anonymous, test.alice, carol]
      let answers = try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
        for task in 0..<tasks {
          group.addTask {
            let caller = callers[task % 3]
            var answers: [[UInt8]] = []
            for round in 0..<rounds {
              // Two tasks share each idempotency key.
              let claim =
                caller == .anonymous ? nil : caller.claim("\(task / 6)-\(task % 3)-\(round)")
              let entries: [BatchEntry] = [
                .draw(.ints("chain-\(round % 4)")), .draw(.ints("chain-0")),
              ]
              let submission = Submission(
                caller: caller, claim: claim,
                operation: round % 5 == 0 ? .batch(entries) : .draw(.ints("chain-\(round % 4)")))
              answers.append(try await writer.submit(submission).body)
            }
            return answers
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      await writer.drain()
      #expect(answers.count == tasks * rounds)

      var outcomes = 0
      for caller in callers {
        for number in 0..<4 {
          let drawn = try await test.outcomes(caller, "chain-\(number)")
          #expect(drawn.map(\.nonce) == (0..<Int64(drawn.count)).reversed())
          outcomes += drawn.count
        }
      }
      #expect(try await test.store.totals().liveOutcomes == outcomes)
      // A round costs 1 outcome, or 2 when it is a batch; keys that two tasks share were drawn for once.
      let anonymousTasks = (0..<tasks).filter { $0 % 3 == 0 }.count
      let keys = Set((0..<tasks).filter { $0 % 3 != 0 }.map { "\($0 / 6)-\($0 % 3)" }).count
      #expect(outcomes == (anonymousTasks + keys) * (rounds + rounds / 5))
      let used = try test.snapshot(draw(test.alice), draw(carol)).accounts.values.map(\.usedToday)
      #expect(used.reduce(0, +) == keys * (rounds + rounds / 5))
    },

    StoreCheck("readers do not wait for a group, and do not see it before it is committed") {
      test in
      try test.settle(draw(test.alice))
      // A database does not wait for a group for ever, and other tests may keep the shared threads busy for as long.
      try await withTaskExecutorPreference(OwnQueue()) {
        let deciding = DispatchSemaphore(value: 0)
        let decided = DispatchSemaphore(value: 0)
        async let settled = onThread {
          let group = [draw(test.alice), draw(test.alice)]
          var entropy = SystemRandomNumberGenerator()
          return try test.store.commit(Needs(of: group)) { snapshot in
            let decision = test.decider.decide(group, snapshot: snapshot, entropy: &entropy)
            deciding.signal()
            decided.wait()
            return decision
          }
        }
        try await onThread { deciding.wait() }
        #expect(try await test.outcomes(test.alice).count == 1)
        #expect(try await test.store.totals().liveOutcomes == 1)
        #expect(try await test.store.key(hash: NewAPIKey(mode: .live).hash) == nil)
        try await test.store.ping()
        decided.signal()
        _ = try await settled
      }
      #expect(try await test.outcomes(test.alice).count == 3)
      #expect(try await test.store.totals().liveOutcomes == 3)
    },

    StoreCheck("readers see whole groups") { test in
      let groups = 60
      let size = 20
      let isDone = Mutex(false)
      async let written: Void = onThread {
        defer { isDone.withLock { $0 = true } }
        let batch = Submission(
          caller: .anonymous, operation: .batch((0..<size).map { _ in .draw(.ints("test")) }))
        for _ in 0..<groups { try test.settle(batch) }
      }
      var last = 0
      while !isDone.withLock({ $0 }) {
        let outcomes = try await test.outcomes(.anonymous)
        #expect(outcomes.count % size == 0 && outcomes.count >= last)
        #expect(outcomes.map(\.nonce) == (0..<Int64(outcomes.count)).reversed())
        last = outcomes.count
        #expect(try await test.store.totals().liveOutcomes % size == 0)
      }
      try await written
      #expect(try await test.outcomes(.anonymous).count == groups * size)
    },
  ]
}

/// Runs what blocks on a thread of its own.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    Thread.start("test") { continuation.resume(with: Swift.Result { try body() }) }
  }
}

/// Runs a test's own tasks, whatever the threads that all tests share are doing.
private final class OwnQueue: TaskExecutor {
  private let queue = DispatchQueue(label: "a test's own")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
