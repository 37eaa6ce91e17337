import Foundation
import PackagePlugin

/// Makes the bytes of a target's text files constants: `PackageResources.icon_svg` is `icon.svg`.
///
/// SwiftPM's own `.embedInCode` writes them as lists of numbers, which take the compiler minutes. These are string
/// literals, so a file that is not UTF-8 does not compile.
@main struct EmbedText: BuildToolPlugin {
  private static let script = #####"""
    output=$1
    shift
    {
      echo 'enum PackageResources {'
      for file; do
        printf 'static let %s = Array(####"""\n' "$(basename "$file" | tr -c 'A-Za-z0-9\n' _)"
        cat "$file" && printf '\n"""####.utf8)\n' || exit
      done
      echo '}'
    } >"$output"
    """#####

  func createBuildCommands(context: PluginContext, target: Target) throws -> [Command] {
    let everything = FileManager.default.enumerator(at: target.directoryURL, includingPropertiesForKeys: nil)
    let files = (everything?.compactMap { $0 as? URL } ?? [])
      .filter { !$0.hasDirectoryPath && $0.pathExtension != "swift" }
      .sorted { $0.path < $1.path }
    let output = context.pluginWorkDirectoryURL.appending(path: "PackageResources.swift")
    return [
      .buildCommand(
        displayName: "Embedding the texts of \(target.name)", executable: URL(filePath: "/bin/sh"),
        arguments: ["-c", Self.script, "embed", output.path] + files.map(\.path),
        inputFiles: files.map { $0.resolvingSymlinksInPath() }, outputFiles: [output])
    ]
  }
}
