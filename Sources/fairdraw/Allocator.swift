#if canImport(Glibc)
  import CMalloc
#endif

/// How the process gets its memory from the system.
enum Allocator {
  /// From this many bytes on a block is the system's again as soon as it is freed.
  private static let largeBlock: Int32 = 256 << 10

  /// Keeps freed large blocks, a list's page or an outcome of some megabytes, from staying with the process. glibc would
  /// raise its own threshold to the size of the largest that was freed, up to 32 MiB, and keep what is smaller in every
  /// thread's arena: a third of the memory of a server with many such readers. See mallopt(3).
  static func returnLargeBlocks() {
    #if canImport(Glibc)
      _ = mallopt(M_MMAP_THRESHOLD, largeBlock)
    #endif
  }
}
