import Foundation
import LedgerSimulation

/// Holds the ledger against its model for as long as one likes.
///
/// Usage: `simulate N [SEED [memory|sqlite]]`. It sends `N` submissions in runs of ``perRun``, each with a new server and the
/// next seed, over dictionaries and over a file in turn. The exit status is 1 where ledger and model differ.
@main
enum Simulate {
  private static let perRun = 20_000
  private static let isTerminal = isatty(STDERR_FILENO) == 1

  static func main() async throws {
    let arguments = CommandLine.arguments.dropFirst().map { $0 }
    let seed = arguments.count > 1 ? UInt64(arguments[1]) : UInt64.random(in: .min ... .max)
    let store = arguments.count > 2 ? Simulation.Store(rawValue: arguments[2]) : nil
    guard (1...3).contains(arguments.count), let total = Int(arguments[0].filter { $0 != "_" }), total > 0, let seed,
      arguments.count < 3 || store != nil
    else {
      FileHandle.standardError.write(Data("usage: simulate N [SEED [memory|sqlite]]\n".utf8))
      exit(64)
    }
    say("seed \(seed)")
    let start = ContinuousClock.now
    var done = 0
    var run = 0
    while done < total {
      let kind = store ?? Simulation.Store.allCases[run % 2]
      let (runSeed, count) = (seed &+ UInt64(run / (store == nil ? 2 : 1)), min(perRun, total - done))
      var simulation = try await Simulation(seed: runSeed, store: kind)
      do {
        for part in stride(from: perRun / 10, through: perRun, by: perRun / 10) where part - perRun / 10 < count {
          try await simulation.advance(to: min(part, count))
          show(done + simulation.submissions, of: total, since: start)
        }
        try await simulation.finish()
      } catch {
        if isTerminal { show("") }
        say("seed \(runSeed), \(kind): \(error)\nagain: bin/simulate \(simulation.submissions) \(runSeed) \(kind)")
        exit(1)
      }
      done += simulation.submissions
      run += 1
    }
    if isTerminal { show("") }
    let seconds = max((.now - start) / .seconds(1), 0.001)
    say("\(done) submissions as the model says, \(Int(Double(done) / seconds)) a second")
  }

  /// One line that is written over on a terminal; else a line for every tenth.
  private static func show(_ done: Int, of total: Int, since start: ContinuousClock.Instant) {
    let (percent, rate) = (min(done * 100 / total, 100), Int(Double(done) / max((.now - start) / .seconds(1), 0.001)))
    if isTerminal {
      let bar = String(repeating: "#", count: percent / 2).padding(toLength: 50, withPad: " ", startingAt: 0)
      show("[\(bar)] \(percent) %  \(done) submissions, \(rate) a second")
    } else if percent / 10 > told {
      told = percent / 10
      say("\(percent) %: \(done) submissions, \(rate) a second")
    }
  }

  nonisolated(unsafe) private static var told = 0  // by `main` alone

  private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

  private static func show(_ line: String) { FileHandle.standardError.write(Data("\r\(line)\u{1B}[K".utf8)) }
}
