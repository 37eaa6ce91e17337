/// Reads a ``LogPolicy`` line by line.
struct PolicyReader {
  private typealias Failure = LogPolicy.Failure

  private var line = 0
  private var logs: [LogPolicy.Log] = []
  private var witnesses: [LogPolicy.Witness] = []
  private var groups = 0
  /// Witnesses and groups by their names, which are told apart byte by byte.
  private var named: [[UInt8]: LogPolicy.Quorum] = [:]
  /// The names that are a group's members.
  private var members: Set<[UInt8]> = []
  private var quorum: (name: String, rule: LogPolicy.Quorum)?

  mutating func read(_ bytes: ArraySlice<UInt8>) throws(LogPolicy.Failure) {
    line += 1
    guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == UInt8(ascii: "\t") }) else {
      throw failure("a policy has no control characters but tabs and line breaks")
    }
    let words = bytes.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    guard let first = words.first, first.first != UInt8(ascii: "#") else { return }
    switch String(decoding: first, as: UTF8.self) {
    case "log": try readLog(words)
    case "witness": try readWitness(words)
    case "group": try readGroup(words)
    case "quorum": try readQuorum(words)
    case let word: throw failure("a line begins with log, witness, group, quorum or #, not with \(word)")
    }
  }

  func finish() throws(LogPolicy.Failure) -> LogPolicy {
    guard let quorum else { throw failure("the policy ends without a quorum line") }
    return LogPolicy(logs: logs, witnesses: witnesses, quorum: quorum.rule, quorumName: quorum.name)
  }

  private mutating func readLog(_ words: [ArraySlice<UInt8>]) throws(LogPolicy.Failure) {
    guard (2...3).contains(words.count) else { throw failure("a log is written log <vkey> [<url>]") }
    let key: LogVerifierKey
    do throws(LogVerifierKey.Failure) { key = try self.key(words[1]).get() } catch { throw failure(error.description) }
    guard !logs.contains(where: { $0.key.publicKey == key.publicKey }) else {
      throw failure("another log has the same public key")
    }
    guard logs.count < LogPolicy.most else { throw failure("a policy has at most \(LogPolicy.most) logs") }
    logs.append(.init(key: key, url: words.count > 2 ? text(words[2]) : nil))
  }

  private mutating func readWitness(_ words: [ArraySlice<UInt8>]) throws(LogPolicy.Failure) {
    guard (3...4).contains(words.count) else { throw failure("a witness is written witness <name> <vkey> [<url>]") }
    let key: LogVerifierKey
    switch self.key(words[2]) {
    case .success(let read): key = read
    case .failure(.unknownAlgorithm):
      // It may be named, and never cosigns as far as can be told here.
      return try define(words[1], as: .group(threshold: 1, members: []))
    case .failure(let reason): throw failure(reason.description)
    }
    guard key.algorithm == .cosignature else {
      throw failure("a witness's key is of algorithm 4, and this one is of algorithm \(key.algorithm.rawValue)")
    }
    guard !witnesses.contains(where: { $0.key.publicKey == key.publicKey }) else {
      throw failure("another witness has the same public key")
    }
    guard witnesses.count < LogPolicy.most else {
      throw failure("a policy has at most \(LogPolicy.most) witnesses")
    }
    try define(words[1], as: .witness(witnesses.count))
    witnesses.append(.init(name: text(words[1]), key: key, url: words.count > 3 ? text(words[3]) : nil))
  }

  private mutating func readGroup(_ words: [ArraySlice<UInt8>]) throws(LogPolicy.Failure) {
    guard words.count >= 4 else { throw failure("a group is written group <name> all|any|<number> <name>…") }
    let names = words[3...].map { Array($0) }
    var rules: [LogPolicy.Quorum] = []
    for name in names {
      guard let rule = named[name] else { throw failure("no line above defines \(text(name[...]))") }
      guard members.insert(name).inserted else { throw failure("\(text(name[...])) is a group's member already") }
      rules.append(rule)
    }
    let threshold =
      switch text(words[2]) {
      case "all": names.count
      case "any": 1
      default: Int(decimal: words[2]) ?? 0
      }
    guard (1...names.count).contains(threshold) else {
      throw failure("a group asks for all, any, or a number from 1 to that of its members")
    }
    guard groups < LogPolicy.most else { throw failure("a policy has at most \(LogPolicy.most) groups") }
    groups += 1
    try define(words[1], as: .group(threshold: threshold, members: rules))
  }

  private mutating func readQuorum(_ words: [ArraySlice<UInt8>]) throws(LogPolicy.Failure) {
    guard words.count == 2 else { throw failure("the quorum is written quorum <name>") }
    guard quorum == nil else { throw failure("a policy has one quorum line") }
    let name = text(words[1])
    guard let rule = name.utf8.elementsEqual("none".utf8) ? .nobody : named[Array(words[1])] else {
      throw failure("no line above defines \(name)")
    }
    quorum = (name, rule)
  }

  private mutating func define(_ name: ArraySlice<UInt8>, as rule: LogPolicy.Quorum) throws(LogPolicy.Failure) {
    guard !name.elementsEqual("none".utf8) else { throw failure("none is no name for a witness or a group") }
    guard named.updateValue(rule, forKey: Array(name)) == nil else {
      throw failure("\(text(name)) is defined already")
    }
  }

  private func key(_ word: ArraySlice<UInt8>) -> Result<LogVerifierKey, LogVerifierKey.Failure> {
    guard let text = String(validating: word, as: UTF8.self) else { return .failure(.malformed) }
    return Result { () throws(LogVerifierKey.Failure) in try LogVerifierKey(text) }
  }

  private func text(_ word: ArraySlice<UInt8>) -> String { String(decoding: word, as: UTF8.self) }

  private func failure(_ reason: String) -> LogPolicy.Failure { Failure(line: line, reason: reason) }
}
