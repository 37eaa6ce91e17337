import Fairness
import Ledger

/// The parameters that one endpoint, or one object in a request, takes. Any other is a mistake of the caller's (a
/// misspelled `clientSeed` would draw from another chain), so it is refused.
package struct ParameterNames: Sendable {
  /// What takes the parameters, as a refusal calls it.
  private let place: String
  let names: [StaticString]

  package init(of place: String, _ names: StaticString...) {
    self.place = place
    self.names = names
  }

  init(of place: String, _ names: [StaticString]) {
    self.place = place
    self.names = names
  }

  /// Whether a parameter may have this name. `toolMeta` and what begins with an underscore may always be there, and are
  /// ignored: clients send them for purposes of their own.
  func allow(_ name: ArraySlice<UInt8>) -> Bool {
    names.contains { $0.isSpelled(name) } || name.first == UInt8(ascii: "_")
      || ("toolMeta" as StaticString).isSpelled(name)
  }

  /// The 400 for a name that is not allowed: it names the parameter that was most likely meant.
  func refusal(of name: ArraySlice<UInt8>) -> Refusal {
    let shown = String(decoding: name.prefix(Self.longestShown), as: UTF8.self)
    if let meant = names.closest(to: name) {
      return .badRequest("\"\(shown)\" is not a parameter of \(place); did you mean \(meant)?", parameter: shown)
    }
    let taken = names.isEmpty ? "none" : names.map(String.init(describing:)).joined(separator: ", ")
    return .badRequest("\"\(shown)\" is not a parameter of \(place), which takes \(taken)", parameter: shown)
  }

  private static let longestShown = 64
}

extension ParameterNames {
  /// Those of all endpoints, made once.
  private static let draws = Dictionary(uniqueKeysWithValues: Endpoint.allCases.map { ($0, make($0)) })

  package static func of(_ endpoint: Endpoint) -> ParameterNames { draws[endpoint] ?? make(endpoint) }

  private static func make(_ endpoint: Endpoint) -> ParameterNames {
    ParameterNames(of: "/api/\(endpoint.name)", ["clientSeed"] + endpoint.kind.parameters.map(\.name))
  }
}

extension StaticString {
  func isSpelled(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard bytes.count == utf8CodeUnitCount else { return false }
    return withUTF8Buffer { name in bytes.withUnsafeBufferPointer { $0.elementsEqual(name) } }
  }
}

// MARK: Resemblance

extension [StaticString] {
  /// The one that `name` most likely stands for; nil if it resembles none.
  fileprivate func closest(to name: ArraySlice<UInt8>) -> StaticString? {
    guard name.count <= 64 else { return nil }
    let letters = name.lowercaseLetters
    guard !letters.isEmpty else { return nil }
    var best: (name: StaticString, distance: Int)?
    for candidate in self {
      let known = candidate.withUTF8Buffer { $0.lowercaseLetters }
      let distance = letters.distance(to: known)
      // `seed`, `item` and `maximum` are nearer to what they hold, or are part of, than a count of letters says.
      let isPart = Swift.min(letters.count, known.count) >= 3 && (known.contains(letters) || letters.contains(known))
      guard isPart || distance <= (known.count < 5 ? 1 : known.count < 7 ? 2 : 3) else { continue }
      if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
    }
    return best?.name
  }
}

extension Sequence<UInt8> {
  /// The ASCII letters in lower case, without what stands between and behind them: `items[0]` is `items`.
  fileprivate var lowercaseLetters: [UInt8] {
    map { $0 | 0x20 }.filter { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
  }
}

extension [UInt8] {
  /// How many letters must be changed, added or left out to make `other`.
  fileprivate func distance(to other: [UInt8]) -> Int {
    var row = [Int](0...other.count)
    for (place, letter) in enumerated() {
      var diagonal = row[0]
      row[0] = place + 1
      for (column, otherLetter) in other.enumerated() {
        let changed = diagonal + (letter == otherLetter ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = Swift.min(changed, row[column] + 1, diagonal + 1)
      }
    }
    return row[other.count]
  }
}
