/// Items that wait in lines, and lines that take turns by deficit round robin (Shreedhar and Varghese, 1995).
///
/// Each turn gives a line credit for ``quantum`` bytes, and a line gives items as long as it has credit. A large item costs
/// its line the next turns. So a line with little in it is served soon, however much waits in another.
package struct Turns<Key: Hashable, Line: WaitingLine>: WaitingLine {
  private struct Place {
    let key: Key
    var line = Line()
    var credit = quantum
  }

  /// The lines that hold something, and at most one that does not any more.
  private var places: [Place] = []
  private var indices: [Key: Int] = [:]
  /// Whose turn it is.
  private var turn = 0
  package private(set) var draws = 0
  package private(set) var bytes = 0

  /// The credit of a turn, in bytes: a dozen single draws.
  package static var quantum: Int { 16 << 10 }

  package init() {}

  package var lines: Int { places.count }

  /// Adds `item` to the line of `key`.
  ///
  /// - Parameter add: adds it, unless it does not fit; false if so.
  /// - Returns: what `add` returns.
  package mutating func append(_ item: Line.Item, to key: Key, _ add: (inout Line) -> Bool) -> Bool {
    let index = index(of: key)
    guard add(&places[index].line) else {
      if places[index].line.draws == 0 { remove(index) }
      return false
    }
    draws += item.draws
    bytes += item.bytes
    return true
  }

  package mutating func first() -> Line.Item? {
    while draws > 0 {
      if turn >= places.count { turn = 0 }
      guard let first = places[turn].line.first() else {
        remove(turn)
        continue
      }
      if places[turn].credit > 0 { return first }
      places[turn].credit += Self.quantum
      turn += 1
    }
    return nil
  }

  package mutating func removeFirst() {
    guard let item = first() else { return }
    places[turn].line.removeFirst()
    places[turn].credit -= item.bytes
    draws -= item.draws
    bytes -= item.bytes
  }

  package mutating func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Line.Item] {
    var removed: [Line.Item] = []
    for index in places.indices { removed += places[index].line.removeAll(arrivedBefore: deadline) }
    guard !removed.isEmpty else { return [] }
    for item in removed {
      draws -= item.draws
      bytes -= item.bytes
    }
    places.removeAll { $0.line.draws == 0 }
    indices = Dictionary(uniqueKeysWithValues: places.enumerated().map { ($1.key, $0) })
    return removed
  }

  private mutating func index(of key: Key) -> Int {
    if let index = indices[key] { return index }
    indices[key] = places.count
    places.append(Place(key: key))
    return places.count - 1
  }

  /// Removes an empty line; the last line takes its place.
  private mutating func remove(_ index: Int) {
    indices[places[index].key] = nil
    let last = places.removeLast()
    guard index < places.count else { return }
    places[index] = last
    indices[last.key] = index
  }
}

/// Items that wait, and which of them is next.
package protocol WaitingLine {
  associatedtype Item: QueuedSubmission

  init()

  /// Of all items.
  var draws: Int { get }
  var bytes: Int { get }
  /// The next item; nil if none waits.
  mutating func first() -> Item?
  /// Removes the item that ``first()`` returns.
  mutating func removeFirst()
  mutating func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Item]
}

/// Items in order of arrival.
package struct FirstComeLine<Item: QueuedSubmission>: WaitingLine {
  /// Those before `head` have left.
  private var items: [Item?] = []
  private var head = 0
  package private(set) var draws = 0
  package private(set) var bytes = 0

  package init() {}

  package mutating func append(_ item: Item) {
    items.append(item)
    draws += item.draws
    bytes += item.bytes
  }

  package func first() -> Item? { head < items.count ? items[head] : nil }

  package mutating func removeFirst() {
    guard let item = first() else { return }
    draws -= item.draws
    bytes -= item.bytes
    items[head] = nil
    head += 1
    if head == items.count {
      items.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 64, head > items.count / 2 {
      items.removeFirst(head)
      head = 0
    }
  }

  package mutating func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Item] {
    var removed: [Item] = []
    // Those that have waited longest are at the front.
    while let first = first(), first.arrived < deadline {
      removeFirst()
      removed.append(first)
    }
    return removed
  }
}
