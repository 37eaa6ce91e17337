import ArgumentParser
import Foundation
import JSON
import Ledger

struct RaffleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "raffle", abstract: "Draw a raffle from a list of entrants, and write its report.",
    discussion: """
      The list is a text file with one entry a line, or a CSV file. It stays on this machine: the server gets only the \
      SHA-256 of the file and the number of entries.

      First the server commits to a server seed by its hash. Then the command reveals it with a client seed that names \
      the list and the title, checks the draw, and writes the report beside the list: who won, in which order, and \
      everything that others need to check it. What was drawn goes to standard output.

      A raffle is drawn once. The command keeps a state file beside the report. If it is interrupted, or run again, it \
      continues the same draw, or writes the report of that draw anew.

      With --announce it stops after the commitment and prints what to publish. When the announced value is known, run \
      it again with --value. Then nobody could choose the result: not you, and not the server's operator.
      """)

  enum Shown: String, ExpressibleByArgument, CaseIterable { case names, initials, numbers }

  @Argument(help: "The file with the entrants.")
  var list: String

  @Option(help: ArgumentHelp("What the raffle is called: one line of at most 80 bytes.", valueName: "text"))
  var title: String

  @Option(help: ArgumentHelp("The number of winners.", valueName: "n"))
  var winners: Int

  @Option(help: ArgumentHelp("The number of reserves, who follow the winners in order.", valueName: "n"))
  var reserves = 0

  @OptionGroup var reading: RaffleListOptions

  @Option(
    help: ArgumentHelp(
      "The report's file. (default: the list's, with .raffle.html at its end, or .rehearsal.html with a test key)",
      valueName: "file"))
  var report: String?

  @Option(
    help: ArgumentHelp(
      "What the report shows of entrants: names, initials or numbers. (default: names)",
      valueName: "names|initials|numbers"))
  var show = Shown.names

  @Flag(help: "Read the list, print what it is taken for, and draw nothing.")
  var check = false

  @Option(
    help: ArgumentHelp(
      "A value that will be public later and that nobody can choose, such as a beacon's round: commit, and print the announcement.",
      valueName: "text"))
  var announce: String?

  @Option(help: ArgumentHelp("The announced value: draw with it.", valueName: "text"))
  var value: String?

  @OptionGroup var server: ServerOptions

  /// The most that one draw gives.
  private static let most = 1000

  func validate() throws {
    guard winners >= 1, reserves >= 0, winners <= Self.most, reserves <= Self.most, winners + reserves <= Self.most
    else {
      throw ValidationError("--winners must be at least 1, and at most \(Self.most) together with --reserves.")
    }
    func isLine(_ text: String, _ most: Int) -> Bool {
      (1...most).contains(text.utf8.count) && Terminal.printable(text) == text && !text.allSatisfy(\.isWhitespace)
    }
    guard isLine(title, 80) else { throw ValidationError("--title must be one line of 1 to 80 bytes.") }
    guard announce.map({ isLine($0, 200) }) ?? true else {
      throw ValidationError("--announce must be one line of 1 to 200 bytes.")
    }
    guard value.map({ isLine($0, 100) }) ?? true else {
      throw ValidationError("--value must be one line of 1 to 100 bytes.")
    }
    guard announce == nil || value == nil else { throw ValidationError("--announce comes first, --value later.") }
  }

  func run() async throws {
    let entrants = try RaffleList(file: list, options: reading)
    guard winners + reserves <= entrants.entries.count else {
      throw CommandFailure(
        "\(winners) winners and \(reserves) reserves cannot be drawn from \(entrants.entries.count) entries")
    }
    if check { return try describe(entrants) }
    let report = report ?? list + (server.isTest ? ".rehearsal.html" : ".raffle.html")
    let path = report.hasSuffix(".html") ? String(report.dropLast(5)) + ".json" : report + ".json"
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    // No other run draws or writes meanwhile.
    let page: RaffleReport? = try await FolderLock.holding(folder) {
      guard let state = try await draw(entrants, StateFile(path)) else { return nil }
      let page = try RaffleReport(list: entrants, state: state, shown: show)
      try DurableFile.write(page.html(), to: report)
      return page
    }
    guard let page else { return }
    for (place, number) in page.drawn.enumerated() {
      let role = place < winners ? "winner \(place + 1)" : "reserve \(place + 1 - winners)"
      try StandardOutput.print("\(role)\t\(number)\t\(Terminal.printable(entrants.entries[number - 1].text))")
    }
    print("The draw's page: \(Terminal.printable(page.permalink))", to: &Terminal.error)
    print("The report: \(report)", to: &Terminal.error)
  }

  /// - Returns: the raffle, drawn; nil if it was announced and has to wait.
  private func draw(_ entrants: RaffleList, _ file: StateFile<RaffleState>) async throws -> RaffleState? {
    var draw = RaffleDraw(
      file: file, server: try server.fetch(),
      asked: RaffleState(
        title: title, winners: winners, reserves: reserves, listName: entrants.name, listHash: entrants.hash,
        entries: entrants.entries.count, rule: entrants.rule, server: try server.address(), isRehearsal: server.isTest,
        announced: announce, commitment: .init(commitId: "", serverHash: "", expiresAt: 0, received: 0)))
    if try await draw.prepare(value: value, announces: announce != nil) {
      try publish(draw.state, file.path)
      return nil
    }
    try await draw.finish()
    return draw.state
  }

  private func describe(_ entrants: RaffleList) throws {
    let entries = entrants.entries
    var lines = ["\(entries.count) entries. \(entrants.rule)", "SHA-256 of the file: \(entrants.hash)"]
    for number in Set([1, entries.count]).sorted() {
      lines.append(
        "Entry \(number), line \(entries[number - 1].line): \(Terminal.printable(entries[number - 1].text))")
    }
    lines.append("Client seed: " + RaffleState.clientSeed(entrants.hash, title, nil))
    for line in lines { try StandardOutput.print(line) }
  }

  private func publish(_ state: RaffleState, _ path: String) throws {
    try StandardOutput.print(
      """
      \(state.title): \(state.winners) winners and \(state.reserves) reserves will be drawn from \(state.entries) entries.
      The SHA-256 of the list \(Terminal.printable(state.listName)): \(state.listHash)
      The hash of the server seed, from \(state.server): \(state.commitment.serverHash)
      The value that is not known yet: \(state.announced ?? "")
      The client seed will be: \(state.clientSeed)
      """)
    print(
      """
      Publish this before the value is known. Draw by \(Terminal.time(Int64(state.commitment.expiresAt))), when the \
      commitment expires: run the command again, with --value in place of --announce. Keep \(path) to yourself: whoever \
      has it, and your key, could draw before you.
      """, to: &Terminal.error)
  }
}
