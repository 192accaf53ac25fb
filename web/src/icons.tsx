const SHAPES = {
  plus: "M12 5v14M5 12h14",
  alert: "M12 8v5M12 16.500v.010M10.300 4.300 2.800 17.500A2 2 0 0 0 4.500 20.500h15a2 2 0 0 0 1.700-3L13.700 4.300a2 2 0 0 0-3.400 0Z",
  down: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  up: "M12 20V9M7 13.500l5-5 5 5M5 4h14",
  back: "M19 12H5M11 6l-6 6 6 6",
  chevron: "M7 10l5 5 5-5",
  chevronUp: "M7 14l5-5 5 5",
  list: "M8.500 6.500H20M8.500 12H20M8.500 17.500H20M4 6.500h.010M4 12h.010M4 17.500h.010",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM20 20l-4-4",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500Z",
  out: "M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 8l-4 4 4 4M6 12h9",
  pause: "M8.500 5v14M15.500 5v14",
  play: "M7 4.500v15l12.500-7.500Z",
  edit: "M4 20h4L19 9l-4-4L4 16ZM13.500 6.500l4 4",
  trash: "M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3",
  keyboard: "M3 7h18v11H3ZM7 11h.010M11 11h.010M15 11h.010M7 14.500h10",
  close: "M6 6l12 12M18 6 6 18",
  retry: "M20 11a8 8 0 1 0-2.300 6.300M20 5v6h-6",
  history: "M4 12a8 8 0 1 0 2.300-5.700M4 4v5h5M12 8v4.500l3 2",
} as const;

export type Shape = keyof typeof SHAPES;

export function Icon({ shape, size = 20 }: { shape: Shape; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <path d={SHAPES[shape]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <path d="M7 14v4M11.500 9.500v13M16 12.500v7M20.500 7.500v17M25 13v6" />
    </svg>
  );
}
