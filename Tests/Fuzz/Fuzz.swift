import Foundation

/// Checks invariants of everything that reads what comes from outside, on random variations of a small corpus.
///
/// Usage: `fuzz CORPUS MINUTES [SEED [SUBJECT]]`, or `fuzz CORPUS replay SUBJECT HEX` for one input. `CORPUS` is the folder of this
/// file's neighbours. The exit status is 1 on a finding, whose input is printed.
@main
enum Fuzz {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 3 else { fail("usage: fuzz CORPUS MINUTES [SEED [SUBJECT]]") }
    let corpus = URL(fileURLWithPath: arguments[1], isDirectory: true)
    LastInput.catchSignals()
    if arguments.count == 5, arguments[2] == "replay" {
      guard let subject = subjects.first(where: { $0.name == arguments[3] }), let input = bytes(hex: arguments[4])
      else {
        fail("subjects are \(subjects.map(\.name).joined(separator: ", ")); the input is hexadecimal")
      }
      let isValid = try check(input, subject)
      say("\(subject.name): no finding; the input is \(isValid ? "valid" : "refused")")
      return
    }
    guard let minutes = Double(arguments[2]), minutes > 0 else { fail("MINUTES must be a number above 0") }
    let seed = arguments.count > 3 ? UInt64(arguments[3]) : UInt64.random(in: 0 ... .max)
    guard let seed else { fail("SEED must be a whole number") }
    say("seed \(seed)")
    let only = arguments.count > 4 ? arguments[4] : nil
    let chosen = subjects.filter { only == nil || $0.name == only }
    guard !chosen.isEmpty else { fail("subjects are \(subjects.map(\.name).joined(separator: ", "))") }
    try run(chosen, corpus: corpus, for: .milliseconds(Int64(minutes * 60_000)), seed: seed)
  }

  private static let subjects: [any Subject] = [
    JSONSubject(), QuerySubject(), DiceSubject(), AddressSubject(), RefererSubject(), TargetSubject(), ReplySubject(),
    TrailSubject(), IdempotencySubject(), SignatureSubject(), RequestSubject(), ConnectionSubject(), NoteSubject(),
    ProofSubject(),
    PolicySubject(), TilePathSubject(), EntryBundleSubject(), AddCheckpointSubject(),
  ]

  private struct Run {
    let subject: any Subject
    var pool: [[UInt8]]
    let corpusCount: Int
    var inputs = 0
    var valid = 0
  }

  /// How many valid inputs are kept beside the corpus, to be varied further.
  private static let kept = 256

  private static func run(_ subjects: [any Subject], corpus: URL, for duration: Duration, seed: UInt64) throws {
    var mutator = Mutator(seed: seed)
    var runs = try subjects.map { subject in
      let pieces = try read(corpus.appendingPathComponent(subject.name + ".txt"))
      for piece in pieces { _ = try check(piece, subject) }
      return Run(subject: subject, pool: pieces, corpusCount: pieces.count)
    }
    let start = ContinuousClock.now
    var nextLine = start + .seconds(10)
    while true {
      for index in runs.indices {
        for _ in 0..<100 {
          let input = mutator.variation(of: runs[index].pool, tokens: runs[index].subject.tokens)
          runs[index].inputs += 1
          guard try check(input, runs[index].subject) else { continue }
          runs[index].valid += 1
          guard input.count <= 2048, mutator.next() % 16 == 0 else { continue }
          if runs[index].pool.count < runs[index].corpusCount + kept {
            runs[index].pool.append(input)
          } else {
            runs[index].pool[runs[index].corpusCount + Int(mutator.next() % UInt64(kept))] = input
          }
        }
      }
      let now = ContinuousClock.now
      if now >= nextLine || now - start >= duration {
        let counts = runs.map { "\($0.subject.name) \($0.inputs) (\($0.valid * 100 / max($0.inputs, 1)) % valid)" }
        say("\((now - start).components.seconds) s: \(counts.joined(separator: ", "))")
        nextLine = now + .seconds(10)
      }
      if now - start >= duration { return }
    }
  }

  /// - Returns: whether the input is valid. A finding ends the process.
  private static func check(_ input: [UInt8], _ subject: any Subject) throws -> Bool {
    LastInput.note(input, of: subject.name)
    do {
      return try subject.check(input)
    } catch let finding as Finding {
      say(
        "\(subject.name): \(finding.description)\ninput: \(input.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())"
      )
      exit(1)
    }
  }

  /// A file of inputs, one a line; `\xNN` is a byte, and `\\` a backslash.
  private static func read(_ file: URL) throws -> [[UInt8]] {
    try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).map { line in
      var piece: [UInt8] = []
      var rest = line[...]
      while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "\\"), let mark = rest.popFirst() else {
          piece.append(byte)
          continue
        }
        let digits = mark == UInt8(ascii: "x") ? rest.prefix(2) : []
        rest = rest.dropFirst(digits.count)
        piece.append(UInt8(String(decoding: digits, as: UTF8.self), radix: 16) ?? mark)
      }
      return piece
    }
  }

  private static func bytes(hex: String) -> [UInt8]? {
    let digits = Array(hex.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)
    }
    return bytes.count * 2 == digits.count ? bytes : nil
  }

  private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

  private static func fail(_ words: String) -> Never {
    FileHandle.standardError.write(Data((words + "\n").utf8))
    exit(64)
  }
}
