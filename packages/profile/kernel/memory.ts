/**
 * Where things lie in the kernel's memory. JavaScript lays the memory out and explains each column (src/pprof/kernel-memory.ts): the
 * addresses stand in a directory at address 0, in the order of this list, which `open` reads.
 *
 * Columns are as long as the longest input can make them, so that nothing here looks at their ends.
 */
export let inputAt: usize = 0;
export let looseAt: usize = 0;
export let sampleNodeAt: usize = 0;
export let sampleLabelStartAt: usize = 0;
export let valuesAt: usize = 0;
export let labelKeyAt: usize = 0;
export let labelTextAt: usize = 0;
export let nodeParentAt: usize = 0;
export let nodeLocationAt: usize = 0;
export let nodeChildAt: usize = 0;
export let stringStartAt: usize = 0;
export let stringEndAt: usize = 0;
export let typeTypeAt: usize = 0;
export let typeUnitAt: usize = 0;
export let mappingIdAt: usize = 0;
export let mappingStartAt: usize = 0;
export let mappingLimitAt: usize = 0;
export let mappingFileOffsetAt: usize = 0;
export let mappingFilenameAt: usize = 0;
export let mappingBuildIdAt: usize = 0;
export let mappingFlagsAt: usize = 0;
export let functionIdAt: usize = 0;
export let functionNameAt: usize = 0;
export let functionSystemNameAt: usize = 0;
export let functionFilenameAt: usize = 0;
export let functionStartLineAt: usize = 0;
export let locationIdAt: usize = 0;
export let locationMappingAt: usize = 0;
export let locationAddressLowAt: usize = 0;
export let locationAddressHighAt: usize = 0;
export let locationFlagsAt: usize = 0;
export let lineStartAt: usize = 0;
export let lineFunctionAt: usize = 0;
export let lineNumberAt: usize = 0;
export let slotsAt: usize = 0;
export let sampleGroupAt: usize = 0;
export let sampleSpanAt: usize = 0;
export let sampleTraceAt: usize = 0;
export let nodeMergedAt: usize = 0;
export let mergeSlotsAt: usize = 0;
export let targetAt: usize = 0;
export let mergedNodeAt: usize = 0;
export let mergedGroupAt: usize = 0;
export let mergedSpanAt: usize = 0;
export let mergedTraceAt: usize = 0;
export let sumsAt: usize = 0;
export let sumIsWideAt: usize = 0;
export let listAt: usize = 0;
export let selectionAt: usize = 0;
export let columnListAt: usize = 0;
export let nodeNewAt: usize = 0;
export let nodesAt: usize = 0;
export let pathAt: usize = 0;
export let locationNewAt: usize = 0;
export let locationsAt: usize = 0;
export let functionNewAt: usize = 0;
export let functionsAt: usize = 0;
export let mappingNewAt: usize = 0;
export let mappingsAt: usize = 0;
export let stringNewAt: usize = 0;
export let stringsAt: usize = 0;
export let recordNodeParentAt: usize = 0;
export let recordNodeLocationAt: usize = 0;
export let recordLocationMappingAt: usize = 0;
export let recordLocationAddressLowAt: usize = 0;
export let recordLocationAddressHighAt: usize = 0;
export let recordLocationFlagsAt: usize = 0;
export let recordLineStartAt: usize = 0;
export let recordLineFunctionAt: usize = 0;
export let recordLineNumberAt: usize = 0;
export let recordFunctionNameAt: usize = 0;
export let recordFunctionSystemNameAt: usize = 0;
export let recordFunctionFilenameAt: usize = 0;
export let recordFunctionStartLineAt: usize = 0;
export let recordMappingStartAt: usize = 0;
export let recordMappingLimitAt: usize = 0;
export let recordMappingFileOffsetAt: usize = 0;
export let recordMappingFilenameAt: usize = 0;
export let recordMappingBuildIdAt: usize = 0;
export let recordMappingFlagsAt: usize = 0;
export let recordStringOffsetAt: usize = 0;
export let recordSampleNodeAt: usize = 0;
export let recordValuesAt: usize = 0;
export let recordValueIsWideAt: usize = 0;
export let outAt: usize = 0;

/** How many mappings and sample types there is room for: the only columns that input could outgrow. */
export let mappingCapacity: u32 = 0;
export let typeCapacity: u32 = 0;

export function open(mappings: u32, types: u32): void {
  mappingCapacity = mappings;
  typeCapacity = types;
  inputAt = load<u32>(0);
  looseAt = load<u32>(4);
  sampleNodeAt = load<u32>(8);
  sampleLabelStartAt = load<u32>(12);
  valuesAt = load<u32>(16);
  labelKeyAt = load<u32>(20);
  labelTextAt = load<u32>(24);
  nodeParentAt = load<u32>(28);
  nodeLocationAt = load<u32>(32);
  nodeChildAt = load<u32>(36);
  stringStartAt = load<u32>(40);
  stringEndAt = load<u32>(44);
  typeTypeAt = load<u32>(48);
  typeUnitAt = load<u32>(52);
  mappingIdAt = load<u32>(56);
  mappingStartAt = load<u32>(60);
  mappingLimitAt = load<u32>(64);
  mappingFileOffsetAt = load<u32>(68);
  mappingFilenameAt = load<u32>(72);
  mappingBuildIdAt = load<u32>(76);
  mappingFlagsAt = load<u32>(80);
  functionIdAt = load<u32>(84);
  functionNameAt = load<u32>(88);
  functionSystemNameAt = load<u32>(92);
  functionFilenameAt = load<u32>(96);
  functionStartLineAt = load<u32>(100);
  locationIdAt = load<u32>(104);
  locationMappingAt = load<u32>(108);
  locationAddressLowAt = load<u32>(112);
  locationAddressHighAt = load<u32>(116);
  locationFlagsAt = load<u32>(120);
  lineStartAt = load<u32>(124);
  lineFunctionAt = load<u32>(128);
  lineNumberAt = load<u32>(132);
  slotsAt = load<u32>(136);
  sampleGroupAt = load<u32>(140);
  sampleSpanAt = load<u32>(144);
  sampleTraceAt = load<u32>(148);
  nodeMergedAt = load<u32>(152);
  mergeSlotsAt = load<u32>(156);
  targetAt = load<u32>(160);
  mergedNodeAt = load<u32>(164);
  mergedGroupAt = load<u32>(168);
  mergedSpanAt = load<u32>(172);
  mergedTraceAt = load<u32>(176);
  sumsAt = load<u32>(180);
  sumIsWideAt = load<u32>(184);
  listAt = load<u32>(188);
  selectionAt = load<u32>(192);
  columnListAt = load<u32>(196);
  nodeNewAt = load<u32>(200);
  nodesAt = load<u32>(204);
  pathAt = load<u32>(208);
  locationNewAt = load<u32>(212);
  locationsAt = load<u32>(216);
  functionNewAt = load<u32>(220);
  functionsAt = load<u32>(224);
  mappingNewAt = load<u32>(228);
  mappingsAt = load<u32>(232);
  stringNewAt = load<u32>(236);
  stringsAt = load<u32>(240);
  recordNodeParentAt = load<u32>(244);
  recordNodeLocationAt = load<u32>(248);
  recordLocationMappingAt = load<u32>(252);
  recordLocationAddressLowAt = load<u32>(256);
  recordLocationAddressHighAt = load<u32>(260);
  recordLocationFlagsAt = load<u32>(264);
  recordLineStartAt = load<u32>(268);
  recordLineFunctionAt = load<u32>(272);
  recordLineNumberAt = load<u32>(276);
  recordFunctionNameAt = load<u32>(280);
  recordFunctionSystemNameAt = load<u32>(284);
  recordFunctionFilenameAt = load<u32>(288);
  recordFunctionStartLineAt = load<u32>(292);
  recordMappingStartAt = load<u32>(296);
  recordMappingLimitAt = load<u32>(300);
  recordMappingFileOffsetAt = load<u32>(304);
  recordMappingFilenameAt = load<u32>(308);
  recordMappingBuildIdAt = load<u32>(312);
  recordMappingFlagsAt = load<u32>(316);
  recordStringOffsetAt = load<u32>(320);
  recordSampleNodeAt = load<u32>(324);
  recordValuesAt = load<u32>(328);
  recordValueIsWideAt = load<u32>(332);
  outAt = load<u32>(336);
}

/** Entry `index` of a column of 32-bit numbers. */
@inline
export function at32(column: usize, index: u32): u32 {
  return load<u32>(column + (<usize>index << 2));
}

@inline
export function put32(column: usize, index: u32, value: u32): void {
  store<u32>(column + (<usize>index << 2), value);
}
