/**
 * Returns the texts on the page whose contrast with their background is below `ratioMin` (WCAG: 4.5). It runs in the page, so it uses
 * nothing from outside. Text on the canvas has a test of its palette; disabled controls are exempt, as in WCAG.
 */
export function lowContrast(page, ratioMin = 4.5) {
  return page.evaluate((limit) => {
    const parse = (color) => {
      const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
      return { red, green, blue, alpha };
    };
    const over = (top, bottom) => ({
      red: top.red * top.alpha + bottom.red * (1 - top.alpha),
      green: top.green * top.alpha + bottom.green * (1 - top.alpha),
      blue: top.blue * top.alpha + bottom.blue * (1 - top.alpha),
      alpha: 1,
    });
    const linear = (channel) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ({ red, green, blue }) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    const backgroundOf = (element) => {
      const layers = [];
      for (let at = element; at !== null; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
      return layers.reverse().reduce((below, layer) => over(layer, below), { red: 255, green: 255, blue: 255, alpha: 1 });
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
      const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join(" ").trim();
      const value = element.matches("input") ? element.value || element.placeholder : "";
      const box = element.getBoundingClientRect();
      if ((text === "" && value === "") || box.width < 2 || element.matches(":disabled, option")) continue;
      const background = backgroundOf(element);
      const color = over(parse(getComputedStyle(element).color), background);
      const [high, low] = [luminance(color), luminance(background)].sort((left, right) => right - left);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < limit) found.push(`${element.tagName.toLowerCase()}.${element.className} ${JSON.stringify((text || value).slice(0, 30))} ${ratio.toFixed(2)}`);
    }
    return found;
  }, ratioMin);
}
