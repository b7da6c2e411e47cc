"""The loggers: one line per record, the level by name or from INDEXEDCP_LOG_LEVEL."""

from pp_assist.indexedcp import create_logger

logger = create_logger("IndexedCP.Demo")
logger.info("shown at INFO")
logger.debug("not shown")
create_logger("IndexedCP.Demo", level="debug").debug("shown now")
